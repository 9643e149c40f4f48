"""`firewatch evaluate`: scores rankers on stored episodes or incidents."""

from agent.cli import options as o


def evaluate(
    episodes_from: o.EpisodesFrom = None,
    incidents: o.Incidents = None,
    simulate: o.Simulate = 0,
    labels: o.Labels = None,
    ranker: o.Rankers = "gnn",
    checkpoint: o.Checkpoint = None,
    rules: o.Rules = None,
    seed: o.Seed = 0,
    json: o.Json = None,
    quiet: o.Quiet = False,
) -> int:
    """Scores one or more rankers: AC@1, AC@3, AC@5, Avg@5, MRR and calibration, with intervals.

    [dim]Example:[/dim] firewatch evaluate --episodes-from episodes/test --ranker gnn,heuristic
    """
    from agent.cli.scoring import score_rankers

    return score_rankers(
        episodes_from, incidents, simulate, labels, ranker, checkpoint, rules, seed, json, quiet
    )
