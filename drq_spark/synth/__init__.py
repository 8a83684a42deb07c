"""Synthetic catalogues of any size with events, made from a real one: for trials of speed, scale and figures."""
