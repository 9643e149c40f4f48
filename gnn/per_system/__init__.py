"""What one system's own past teaches: alert frequencies, trees, and how they are blended."""
