"""Results as one self-contained HTML file that opens offline."""

from agent.report.build import build_report

__all__ = ["build_report"]
