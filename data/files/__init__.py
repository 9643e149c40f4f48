"""Reading and writing files safely: JSON, JSON lines, files written whole."""
