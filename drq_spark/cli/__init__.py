"""The command line: `drq run`, the steps alone, and what is looked at beside a run.

Exit codes: 0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 5 overtaken by a newer
run; 6 another run is at work; 1 anything else.
"""

from drq_spark.cli.application import app, entry_point, main
from drq_spark.cli.study_commands import compare, inspect, plan

__all__ = ["app", "compare", "entry_point", "inspect", "main", "plan"]
