r"""The new events of a night move the states that a ranker keeps of users.

The same as `drq states`, for spark-submit.

    spark-submit --py-files build/drq_spark.zip jobs/states.py --ranker 3f2c91d07ab4e655 --events main.shop.new_events \
        --out s3://bucket/sids --config conf/prod.yaml

Options: `drq states --help`. Exit codes:
0 done; 2 bad arguments or config; 3 input refused; 4 gate failed; 5 overtaken by a newer
run; 6 another run is at work; 1 anything else.
The cluster's session is used as it is; settings of Spark belong on the spark-submit line.
"""

import sys

from drq_spark.cli import main

if __name__ == "__main__":
    code = main(["states", *sys.argv[1:]])
    if code:  # a normal return on success: notebook-like runners take SystemExit(0) for a failure
        raise SystemExit(code)
