"""The command line: `drq run`, the steps alone, and what is looked at beside a run."""

from drq_spark.cli.application import EXIT_CODES, app, entry_point, main
from drq_spark.cli.study_commands import compare, inspect, plan

__all__ = ["EXIT_CODES", "app", "compare", "entry_point", "inspect", "main", "plan"]
