"""An archive of Java's classes of Spark, which saves a third of the time that a local session takes to start.

Java maps it into memory instead of reading some 15,000 classes from jars and checking each. It fits one Java and one
pyspark; Java itself does without where it does not fit. `make_class_archive` makes it once per user and machine.

    python -m drq_spark.local.class_archive
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from drq_spark.cache_folder import cache_folder
from drq_spark.errors import SetupError
from drq_spark.local.java import find_java, require_pyspark, spark_jars

# Sets up what nearly every run needs: Delta tables that are made, written, replaced and read, joins, windows, Arrow.
_WORKLOAD = """
import sys
from pathlib import Path
from pyspark.sql import Window, functions as F
from drq_spark.session import local_session
spark = local_session(master="local[2]", memory="1g", shuffle_partitions=2, small_data=True, scratch=Path(sys.argv[1]))
place = f"delta.`{sys.argv[1]}/table`"
spark.sql(f"CREATE TABLE {place} (id BIGINT NOT NULL, part STRING, value DOUBLE) USING DELTA PARTITIONED BY (part)")
rows = spark.range(100).selectExpr("id", "string(id % 3) AS part", "double(xxhash64(id)) AS value")
for _ in range(2):
    options = {"replaceWhere": "part IN ('0', '1', '2')", "userMetadata": "classes"}
    rows.write.format("delta").mode("overwrite").options(**options).save(f"{sys.argv[1]}/table")
read = spark.read.format("delta").load(f"{sys.argv[1]}/table")
ranked = read.withColumn("rank", F.row_number().over(Window.partitionBy("part").orderBy("value")))
joined = ranked.join(F.broadcast(read.groupBy("part").agg(F.sum("value").alias("sum"))), "part").join(read, "id")
joined.select("id", "rank", "sum").mapInArrow(lambda batches: batches, "id bigint, rank int, sum double").toArrow()
read.write.parquet(f"{sys.argv[1]}/files")
spark.createDataFrame([(1, "a", [1.0])], "id int, name string, x array<double>").selectExpr("explode(x)").collect()
spark.sql(f"DESCRIBE HISTORY {place} LIMIT 1").collect()
"""


def class_archive(java: Path) -> Path:
    """Where the archive for a `java` and the installed pyspark is, or would be."""
    binary, jars = java.resolve(), spark_jars()
    marks = (binary, binary.stat().st_mtime_ns, jars, jars.stat().st_mtime_ns if jars.is_dir() else 0)
    return cache_folder() / "classes" / f"{hashlib.sha256(repr(marks).encode()).hexdigest()[:16]}.jsa"


def with_archive(archive: Path) -> list[str]:
    """Java's options that take the archive; it says nothing where the archive does not fit its classes."""
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds*=off"]


def make_class_archive(java: Path, progress: Callable[[str], None]) -> Path:
    """The archive, made where it is not there by a small session that lists the classes which it used.

    Raises:
        SetupError: it could not be made.
    """
    archive = class_archive(java)
    if archive.is_file():
        return archive
    progress(f"Preparing Java's classes for quick starts (190 MB, once) in {archive.parent}")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".making-") as work:
            made = Path(work, "classes.jsa")
            environment = {**os.environ, "SPARK_SUBMIT_OPTS": f'"-XX:ArchiveClassesAtExit={made}"'}
            command = [sys.executable, "-c", _WORKLOAD, work]
            reply = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if reply.returncode or not made.is_file():
                last = (reply.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise SetupError(f"Java's class archive could not be made: {last}")
            os.replace(made, archive)
    except OSError as error:
        raise SetupError(f"Java's class archive cannot be kept in {archive.parent}: {error.strerror}") from None
    return archive


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        require_pyspark()
        _say(make_class_archive(find_java(), _say))
    except SetupError as error:
        sys.exit(f"drq_spark: {error}")
