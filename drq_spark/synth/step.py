"""Draw real items on the cluster, and write a synthetic catalogue with events that is like them, as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pyspark.sql import DataFrame, SparkSession

from drq_spark.arrays import I64
from drq_spark.blocks import row_blocks
from drq_spark.config import Config
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.files import absolute, ensure_writable, folders, remove_folder, write_bytes
from drq_spark.inputs.items import read_catalogue
from drq_spark.inputs.pinning import pin
from drq_spark.plan.grid import quick
from drq_spark.progress import Watcher
from drq_spark.row_types import spark_schema
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
from drq_spark.ship import Shipped, ship
from drq_spark.staging import Staging
from drq_spark.synth.likeness import Likeness, Shape
from drq_spark.synth.walks import expected_events, walks

Work = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

REAL_ITEMS = 5_000
"""Real items that a synthetic catalogue is like, at most; the square of it is what finding neighbours costs."""
ITEMS = pa.schema(
    {"item_id": pa.string(), "topic": pa.string(), "exposure": pa.float64(), "embedding": pa.list_(pa.float32())}
)
EVENTS = pa.schema({"user_id": pa.string(), "item_id": pa.string(), "at": pa.timestamp("us", tz="UTC")})
_COLUMNS = {
    "items": {"id": "item_id", "embedding": "embedding", "exposure": "exposure", "attributes": ["topic"]},
    "events": {"user": "user_id", "item": "item_id", "order": "at"},
}
_FIRST_DAY = np.datetime64("2026-01-01", "us")
_PARTITION_BYTES = 2**27
_PARTITIONS = 8  # at least
_EVENT_BYTES = 40
_USERS = 4096  # whose steps are taken together


def synthesize(spark: SparkSession, config: Config, out: str, shape: Shape, watcher: Watcher) -> str:
    """Write items, events and columns.yaml into a folder; the same rows for any cluster.

    Args:
        spark: The session.
        config: Names the real items, as for a run, and how they are sampled.
        out: Folder, a path or URI; without an earlier catalogue in it.
        shape: How much there shall be of everything.
        watcher: Is told what happens.

    Returns:
        Path of columns.yaml, which is written last and names the columns for `--config`.

    Raises:
        ConfigError: the folder cannot be written or holds a catalogue.
        InputRefused: the real items cannot be used, or are fewer than 2.
    """
    out = absolute(out)
    ensure_writable(out)
    if there := {"items", "events"} & {name.rstrip("/").rsplit("/", 1)[-1] for name in folders(out)}:
        raise ConfigError(f"{out} holds {' and '.join(sorted(there))} already: name another folder, or delete them")
    with watcher.step("real items"):
        likeness = _likeness(spark, config, f"{out}/staging")
        real, dim = likeness.vectors.shape
        watcher.note(f"{real:,} items with embeddings of {dim} numbers")
    shipped = ship(spark, likeness)
    with watcher.step("items"):
        size = ceil(shape.items * dim * 4 / _PARTITION_BYTES)
        rows = _numbers(spark, shape.items, size).mapInArrow(_items(shipped, shape), spark_schema(ITEMS))
        rows.write.parquet(f"{out}/items")
        watcher.note(f"{shape.items:,} items in {out}/items")
    with watcher.step("events"):
        size = ceil(shape.users * shape.mean_events * _EVENT_BYTES / _PARTITION_BYTES)
        rows = _numbers(spark, shape.users, size).mapInArrow(_events(shipped, shape), spark_schema(EVENTS))
        rows.write.parquet(f"{out}/events")
        watcher.note(f"events of {shape.users:,} users in {out}/events")
    columns = f"{out}/columns.yaml"
    write_bytes(columns, yaml.safe_dump(_COLUMNS, sort_keys=False).encode())
    return columns


def _likeness(spark: SparkSession, config: Config, staging: str) -> Likeness:
    drawn_as = quick(config, 2, 1)  # asks for no more items than the smallest tokenizer
    drawn_as = drawn_as.model_copy(update={"sample": drawn_as.sample.model_copy(update={"size": REAL_ITEMS})})
    drawn_as, inputs = pin(spark, drawn_as)
    catalogue = read_catalogue(spark, drawn_as)
    try:
        drawn = draw_sample(catalogue, drawn_as, Staging(staging))
        vectors = load_sample(drawn, catalogue.profile.dim).x
    finally:
        remove_folder(staging)
    inputs.refuse_changes()
    if len(vectors) < 2:
        raise InputRefused("items table: a synthetic catalogue lies between real items, and there are fewer than 2")
    return Likeness.of(vectors)


def _numbers(spark: SparkSession, count: int, partitions: int) -> DataFrame:
    """The numbers from 0 on, in as many partitions as their rows need, and in some for every machine to have one."""
    return spark.range(0, count, 1, min(count, max(partitions, _PARTITIONS)))


def _items(shipped: Shipped[Likeness], shape: Shape) -> Work:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        likeness = shipped.value()
        for batch in batches:
            numbers = batch.column("id").to_numpy()
            for rows in row_blocks(len(numbers), likeness.vectors.shape[1]):
                yield item_rows(likeness, shape, numbers[rows])

    return work


def item_rows(likeness: Likeness, shape: Shape, numbers: I64) -> pa.RecordBatch:
    """Rows of the items table, `ITEMS`, for numbers of items, int64 [n]."""
    x = likeness.embeddings(numbers, shape)
    lengths = np.arange(len(x) + 1, dtype=np.int32) * x.shape[1]
    names = pa.array([f"topic {topic}" for topic in range(likeness.topics.max() + 1)], pa.string())
    topics = names.take(pa.array(likeness.topics[likeness.parents(numbers)]))
    embedding = pa.ListArray.from_arrays(pa.array(lengths), pa.array(x.reshape(-1)))
    exposure = pa.array(expected_events(numbers, shape))
    return pa.record_batch([_ids("item", numbers), topics, exposure, embedding], schema=ITEMS)


def _events(shipped: Shipped[Likeness], shape: Shape) -> Work:
    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        likeness = shipped.value()
        for batch in batches:
            numbers = batch.column("id").to_numpy()
            for start in range(0, len(numbers), _USERS):
                yield event_rows(likeness, shape, numbers[start : start + _USERS])

    return work


def event_rows(likeness: Likeness, shape: Shape, users: I64) -> pa.RecordBatch:
    """Rows of the events table, `EVENTS`, of users by number, int64 [n]."""
    walked = walks(users, likeness, shape)
    at = _FIRST_DAY + (walked.second * 1e6).astype("timedelta64[us]")
    columns = [_ids("user", walked.user), _ids("item", walked.item), pa.array(at, pa.timestamp("us", tz="UTC"))]
    return pa.record_batch(columns, schema=EVENTS)


def _ids(kind: str, numbers: I64) -> pa.Array:
    """Ids of items or users as text."""
    return pc.binary_join_element_wise(kind, pa.array(numbers).cast(pa.string()), "-")
