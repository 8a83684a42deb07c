"""Rows that Spark has written in parts, taken up by the driver block by block: nothing of them is collected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame

from drq_spark.external.row_numbers import ROW, numbered
from drq_spark.files import file_names, resolve

NUMBER = "number"
_BLOCK_BYTES = 2**23
_BATCH_ROWS = 2**16


def write_ordered(rows: DataFrame, keys: Sequence[str], folder: str) -> DataFrame:
    """Sort rows by keys into Parquet, and read them back with column number (bigint): their place, from 0."""
    rows.orderBy(*keys).write.parquet(folder)
    return numbered(rows.sparkSession.read.parquet(folder)).withColumnRenamed(ROW, NUMBER)


def batches(folder: str) -> Iterator[pa.RecordBatch]:
    """What Spark has written as Parquet into a folder, in Arrow batches, in its order."""
    for path in _parts(folder):
        filesystem, inner = resolve(path)
        with filesystem.open_input_file(inner) as file:
            yield from pq.ParquetFile(file).iter_batches(_BATCH_ROWS)


def join_lines(lines: DataFrame, folder: str, separator: str, stream: Any) -> None:
    """Copy the texts of a DataFrame with one column into a stream, in its order, with a separator between any two.

    Args:
        lines: The texts.
        folder: Where they wait.
        separator: What stands between two of them.
        stream: Where they go.
    """
    lines.write.option("lineSep", separator).text(folder)
    join_parts(folder, separator, stream)


def join_parts(folder: str, separator: str, stream: Any) -> None:
    """Copy files of texts, each of which ends with a separator, without the last separator."""
    last = len(separator.encode())
    held = b""
    for path in _parts(folder):
        filesystem, inner = resolve(path)
        with filesystem.open_input_stream(inner) as file:
            while block := file.read(_BLOCK_BYTES):
                held += block
                stream.write(held[:-last])
                held = held[-last:]


def _parts(folder: str) -> list[str]:
    """Files of the parts; Spark numbers them in the order of the rows."""
    return [f"{folder}/{name}" for name in file_names(folder) if name.startswith("part-")]
