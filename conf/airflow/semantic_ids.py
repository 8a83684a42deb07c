"""A night of semantic IDs as a DAG of Airflow: `spark-submit jobs/nightly.py`, then the old runs are cleared away.

It needs apache-airflow-providers-apache-spark, a connection `spark_default` that names the cluster, and a checkout of
drq_spark with `make zip` done, at DRQ_HOME of the workers. The cluster brings Delta, or DELTA names it.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

HOME = os.environ.get("DRQ_HOME", "/opt/drq_spark")
ITEMS = "s3a://BUCKET/items"
OUT = "s3a://BUCKET/sids"
DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


def job(name: str, *arguments: str, **options: Any) -> SparkSubmitOperator:
    """A task that submits a job with the package as its zip."""
    return SparkSubmitOperator(
        task_id=name,
        application=f"{HOME}/jobs/{name}.py",
        application_args=list(arguments),
        py_files=f"{HOME}/build/drq_spark.zip",
        packages=DELTA,
        conf=SETTINGS,
        **options,
    )


with DAG(
    "semantic_ids",
    schedule="30 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,  # a night of long ago would find the items of today
    max_active_runs=1,
) as dag:
    nightly = job(
        "nightly",
        f"--items={ITEMS}",
        f"--out={OUT}",
        f"--config={HOME}/conf/prod.yaml",
        "--run-date={{ ds }}",
        retries=1,  # a killed run is taken up; one that has ended is not made again
    )
    nightly >> job("vacuum", f"--out={OUT}", "--keep=14", "--yes")
