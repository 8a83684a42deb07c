"""A map whose ids are shifted against those of the items: its codes say nothing of the embeddings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.arrays import F32
from drq_spark.config import Config
from drq_spark.external import notes
from drq_spark.external.known_ids import KnownIds, identified
from drq_spark.external.sid_formats import open_sids
from drq_spark.formulas.between_codes import no_better_than_chance
from drq_spark.measure.item_sample import ItemSample

_ITEMS = 5_000
_SHIFTS = (-1, 1, -2, 2)


def shift_note(spark: SparkSession, config: Config, known: KnownIds, sample: ItemSample) -> str | None:
    """What to say where codes say no more of the embeddings than chance; None where they do, or nothing can be told.

    The map is read again only where something is wrong: for the drawn items, with their ids shifted by one or two.

    Args:
        spark: The session.
        config: The settings.
        known: The ids of the items.
        sample: Some items with codes and embeddings.
    """
    if sample.x is None or sample.ids is None or not _say_nothing(sample.codes, sample.x, config.seed):
        return None
    ids = sample.ids[:_ITEMS]
    drawn = F.broadcast(spark.createDataFrame(pa.table({"text": ids, "place": np.arange(len(ids))})))
    for shift in _SHIFTS:
        moved = _moved(spark, config, known, sample.codes.shape[1], shift).join(drawn, "text")
        found = moved.groupBy("place").agg(F.min("codes").alias("codes")).toArrow()
        if 2 * len(found) < len(ids):
            continue
        codes = np.array(found["codes"].to_pylist(), np.int64)
        if not _say_nothing(codes, sample.x[found["place"].to_numpy()], config.seed):
            return notes.other_items(config.sids.id_shift + shift)
    return notes.other_items(None)


def _say_nothing(codes: NDArray[np.integer], x: F32, seed: int) -> bool:
    """Whether the codes [n, L] of the first level that has several say no more of x [n, D] than chance."""
    several = [level for level in codes[:_ITEMS].T if len(np.unique(level)) > 1]
    return bool(several) and no_better_than_chance(several[0], x[:_ITEMS].astype(np.float64), seed)


def _moved(spark: SparkSession, config: Config, known: KnownIds, levels: int, shift: int) -> DataFrame:
    """text (the id), codes (the first L) of the map with `shift` added to its ids."""
    assert config.sids.path is not None  # the map has been read
    opened = open_sids(spark, config.sids, config.sids.path, levels)
    rows = identified(opened.rows, known, config.sids.id_shift + shift)
    usable = rows.where((F.size("codes") >= levels) & ~F.exists("codes", lambda code: code.isNull()))
    return usable.select(F.col("item_id").cast("string").alias("text"), F.slice("codes", 1, levels).alias("codes"))
