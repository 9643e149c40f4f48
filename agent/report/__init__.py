"""Shows results as one HTML file that opens offline, or as Markdown for a pull request."""
