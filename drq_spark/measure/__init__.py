"""Figures of a run: distributed aggregations over the sids table, formulas in numpy."""
