"""What a run needs only while it goes on: rows that are computed once, into Parquet, and read from there."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Staging:
    """A folder that every node sees (path or URI) and that goes when the run ends.

    Attributes:
        folder: Where it is.
        kept_once: Names that `keep_once` has kept rows under in this process.
    """

    folder: str
    kept_once: set[str] = field(default_factory=set, compare=False, repr=False)

    def keep(self, df: DataFrame, name: str) -> DataFrame:
        """Compute rows now, over what an earlier try left under this name, and read them back from the folder.

        `cache()` would not do: Spark Connect has none on serverless, and a lost executor would compute them again.
        """
        df.write.mode("overwrite").parquet(f"{self.folder}/{name}")
        return self.read(df.sparkSession, name)

    def keep_once(self, df: DataFrame, name: str) -> DataFrame:
        """`keep` for what several steps need: the first one that asks in this process has the rows computed.

        What another process has left is not trusted: it may have been killed, or have read another table.
        """
        if name in self.kept_once:
            return self.read(df.sparkSession, name)
        kept = self.keep(df, name)
        self.kept_once.add(name)
        return kept

    def read(self, spark: SparkSession, name: str) -> DataFrame:
        """What has been kept under a name."""
        return spark.read.parquet(f"{self.folder}/{name}")
