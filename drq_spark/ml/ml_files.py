"""Saving and loading by Spark: any path that Spark knows, Classic or Connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsWriter, MLWriter
from pyspark.sql import SparkSession

from drq_spark.errors import ArtifactRefused

_PART = 16 * 2**20  # bytes of a file in one row: Connect takes rows of some size
_SCHEMA = "file string, part int, content binary"


class SidWriter(MLWriter):
    """Writes Params to `metadata`, as every stage does, and files of an artifact to `artifact`.

    Overwriting needs no Java: both are DataFrames.
    """

    def __init__(self, instance: Any, files: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self._instance, self._files = instance, files

    def save(self, path: str) -> None:
        """Save to a folder; it is an error where it is there already, unless `overwrite` was asked for."""
        spark, mode = self.sparkSession, "overwrite" if self.shouldOverwrite else "error"
        told = DefaultParamsWriter._get_metadata_to_save(self._instance, spark)
        if self._files is not None:
            rows = [(name, at // _PART, bytearray(content[at : at + _PART]))
                    for name, content in self._files.items() for at in range(0, len(content), _PART)]  # fmt: skip
            spark.createDataFrame(rows, _SCHEMA).write.mode(mode).parquet(f"{path}/artifact")
        spark.createDataFrame([(told,)], "value string").coalesce(1).write.mode(mode).text(f"{path}/metadata")


def read_files(spark: SparkSession, path: str) -> dict[str, bytes]:
    """The files that `SidWriter` has written, by name.

    Raises:
        ArtifactRefused: there are none.
    """
    rows = spark.read.schema(_SCHEMA).parquet(f"{path}/artifact").orderBy("file", "part").collect()
    if not rows:
        raise ArtifactRefused(f"{path} holds no tokenizer")
    files: dict[str, bytes] = {}
    for row in rows:
        files[row.file] = files.get(row.file, b"") + bytes(row.content)
    return files


def set_params(instance: Params, spark: SparkSession, path: str) -> None:
    """Give an instance the Params and the uid that were saved."""
    from pyspark.ml.util import DefaultParamsReader

    metadata = DefaultParamsReader.loadMetadata(path, spark)
    instance._resetUid(metadata["uid"])
    DefaultParamsReader.getAndSetParams(instance, metadata)  # type: ignore[type-var]
