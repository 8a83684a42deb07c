"""Judge the figures of a run, write its report, and move the published pointer if the gate is passed.

The same as `drq publish`, for spark-submit.

    spark-submit --py-files build/drq_spark.zip jobs/publish.py --out s3://bucket/sids

Options: `drq publish --help`. Exit codes:
0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 5 overtaken by a newer
run; 6 another run is at work; 1 anything else.
The cluster's session is used as it is; settings of Spark belong on the spark-submit line.
"""

import sys

from drq_spark.cli import main

if __name__ == "__main__":
    code = main(["publish", *sys.argv[1:]])
    if code:  # a normal return on success: notebook-like runners take SystemExit(0) for a failure
        raise SystemExit(code)
