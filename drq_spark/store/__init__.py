"""The one place that writes tables, and the folders of a run."""

from drq_spark.store.tables import Store

__all__ = ["Store"]
