"""Results as one self-contained HTML file that opens offline, or as Markdown for a pull request."""
