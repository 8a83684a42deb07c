"""Neighbours, and what users do, by exact search in the whole catalogue."""
