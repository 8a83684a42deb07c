"""Semantic IDs for huge item catalogues with Spark, and the figures that tell how good they are."""

__version__ = "0.1.0"
