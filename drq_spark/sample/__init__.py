"""Items table -> sample table -> matrix on the driver: the same rows for the same seed under any layout."""
