"""What a run needs only while it goes on: rows that are computed once, into Parquet, and read from there."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Staging:
    """A folder that every node sees (path or URI) and that goes when the run ends."""

    folder: str

    def keep(self, df: DataFrame, name: str) -> DataFrame:
        """Compute rows now, over what an earlier try left under this name, and read them back from the folder.

        `cache()` would not do: Spark Connect has none on serverless, and a lost executor would compute them again.
        """
        df.write.mode("overwrite").parquet(f"{self.folder}/{name}")
        return self.read(df.sparkSession, name)

    def read(self, spark: SparkSession, name: str) -> DataFrame:
        """What has been kept under a name."""
        return spark.read.parquet(f"{self.folder}/{name}")
