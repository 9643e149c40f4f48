"""Results as one self-contained HTML file that opens offline, or as Markdown for a pull request."""

from agent.report.build import make_report
from agent.report.html import render_html
from agent.report.markdown import render_markdown

__all__ = ["make_report", "render_html", "render_markdown"]
