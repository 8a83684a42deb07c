"""Write the SIDs that readers follow, or those of a run, in a form that another system reads.

The same as `drq export`, for spark-submit.

    spark-submit --py-files drq_spark.zip jobs/export.py codes --out s3://bucket/sids --to s3://bucket/codes

Options: `drq export --help`. Exit codes:
0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 5 overtaken by a newer
run; 6 another run is at work; 1 anything else.
The cluster's session is used as it is; settings of Spark belong on the spark-submit line.
"""

import sys

from drq_spark.cli import main

if __name__ == "__main__":
    code = main(["export", *sys.argv[1:]])
    if code:  # a normal return on success: notebook-like runners take SystemExit(0) for a failure
        raise SystemExit(code)
