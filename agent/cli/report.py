"""`firewatch report`: a run, an evaluation or an ablation as one HTML file."""

from agent.cli import options as o


def report(seed: o.Seed = 0, json: o.Json = None, quiet: o.Quiet = False) -> int:
    """Turns a result folder into one self-contained HTML file.

    [dim]Example:[/dim] firewatch report runs/monday --out report.html
    """
    raise NotImplementedError
