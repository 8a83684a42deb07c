"""One self-contained HTML page about a run, for a recommender engineer."""
