"""`firewatch ablate`: what each part is worth, on the same tasks and seeds."""

from agent.cli import options as o


def ablate(seed: o.Seed = 0, json: o.Json = None, quiet: o.Quiet = False) -> int:
    """Compares rankers and policies on the same tasks and seeds, paired.

    [dim]Example:[/dim] firewatch ablate --ranker gnn,heuristic,none --episodes 60 --out ablation
    """
    raise NotImplementedError
