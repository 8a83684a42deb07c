"""One user with most events and one SID with most items: dealt into parts, and each in one task.

    python bench/long_groups.py [--rows 4000000] [--part 500000] [--threads 2] [--memory 2g]

Of ROWS events three quarters are of one user, of as many items three quarters have one SID. Pairs and suffixes are
computed both ways, one after the other in one session, and compared; it tells seconds and the rows of the longest task.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark import long_groups
from drq_spark.assign.suffix import with_suffix
from drq_spark.config import load_config
from drq_spark.inputs.consecutive import with_following
from drq_spark.long_groups import long_buckets
from drq_spark.session import local_session
from drq_spark.staging import Staging

_ITEMS = 100_000
Way = Callable[[DataFrame, tuple[int, ...], Staging], DataFrame]


def events(spark: SparkSession, rows: int) -> DataFrame:
    """user, item_id, position, known."""
    number = F.col("id")
    return spark.range(rows).select(
        F.when(number % 4 < 3, "bot").otherwise(F.concat(F.lit("u"), number % 50_000)).alias("user"),
        F.pmod(F.xxhash64("id"), F.lit(_ITEMS)).alias("item_id"),
        F.expr("id div 3").alias("position"),
        F.lit(True).alias("known"),
    )


def items(spark: SparkSession, rows: int) -> DataFrame:
    """item_id, sid, exposure."""
    sid = F.when(F.col("id") % 4 < 3, 7).otherwise(F.pmod(F.xxhash64("id"), F.lit(10**6)))
    exposure = F.pmod(F.xxhash64("id", F.lit(1)), F.lit(1000)).cast("double")
    return spark.range(rows).select(F.col("id").alias("item_id"), sid.alias("sid"), exposure.alias("exposure"))


def following(rows: DataFrame, long: tuple[int, ...], staging: Staging) -> DataFrame:
    """Every event with what follows it."""
    return with_following(rows, load_config(), long, staging)


def suffixes(rows: DataFrame, long: tuple[int, ...], staging: Staging) -> DataFrame:
    """Every item with its suffix, on a first night."""
    return with_suffix(rows, None, long, "rank0", staging)


def compared(name: str, rows: DataFrame, group: str, way: Way, folder: Path) -> None:
    """Print both ways."""
    kept = Staging(f"{folder}/{name}").keep(rows, "rows")
    found = []
    for label, long in (("in one task", ()), ("in parts", long_buckets(kept, group))):
        staging = Staging(f"{folder}/{name}/{label.replace(' ', '-')}")
        start = time.monotonic()
        result = staging.keep(way(kept, long, staging), "result")
        seconds = time.monotonic() - start
        found.append(result.agg(F.count(F.lit(1)), F.bit_xor(F.xxhash64(*sorted(result.columns)))).first())
        print(f"{name:10s} {label:12s} {seconds:6.1f} s   longest task {longest(kept, staging, group, long):12,d} rows")
    assert found[0] == found[1], "not the same results"


def longest(rows: DataFrame, staging: Staging, group: str, long: tuple[int, ...]) -> int:
    """Rows of the group, or of the part of a group, that has the most."""
    if not long:
        return int(rows.groupBy(group).count().agg(F.max("count")).first()[0])
    name = "long_users" if group == "user" else "long_sids"
    return int(staging.read(rows.sparkSession, name).groupBy(group, "part").count().agg(F.max("count")).first()[0])


def main() -> None:
    """Both kinds of groups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--part", type=int, default=500_000, help="rows that one task takes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="2g")
    arguments = parser.parse_args()
    long_groups.ROWS_A_PART = arguments.part
    with tempfile.TemporaryDirectory() as folder:
        spark = local_session(master=f"local[{arguments.threads}]", memory=arguments.memory, scratch=Path(folder))
        compared("events", events(spark, arguments.rows), "user", following, Path(folder))
        compared("suffixes", items(spark, arguments.rows), "sid", suffixes, Path(folder))
        spark.stop()


if __name__ == "__main__":
    main()
