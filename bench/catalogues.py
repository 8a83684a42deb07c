"""A catalogue with behaviour from two parquet files, without Spark: what the benches train and judge on."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drq_spark.arrays import I64
from drq_spark.sample.values import Behaviour, Sample

_HELD_OUT = 0.2  # share of the baskets, by hash, whose pairs only judge


def load(folder: Path) -> Sample:
    """The sample of a folder: all items, and pairs of items that follow one another in a basket.

    Args:
        folder: holds items.parquet (item_id, exposure, embedding) and events.parquet (basket_id, item_id, position). An
            event of an unknown item parts its neighbours; an item that follows itself makes no pair.
    """
    items = pq.read_table(folder / "items.parquet", columns=["item_id", "exposure", "embedding"])
    ids = [str(item) for item in items["item_id"].to_pylist()]
    x = np.array(items["embedding"].combine_chunks().flatten(), np.float32).reshape(len(ids), -1)
    keys = hashes(ids)
    pairs, baskets = _pairs(folder / "events.parquet", {item: row for row, item in enumerate(ids)})
    used, rows = np.unique(pairs, return_inverse=True)
    rows = rows.reshape(pairs.shape).astype(np.int64)
    judge = is_judge(baskets)
    return Sample(
        x=x,
        fingerprint=blake2b(x.tobytes() + pairs.tobytes(), digest_size=8).hexdigest(),
        split_key=keys,
        exposure=np.asarray(items["exposure"], np.float64),
        behaviour=Behaviour(x[used], keys[used], rows[~judge], rows[judge]),
    )


def _pairs(path: Path, row_of: dict[str, int]) -> tuple[I64, I64]:
    """Rows of the items of each pair int64 [p, 2], and the hash of its basket int64 [p]."""
    events = pq.read_table(path, columns=["basket_id", "item_id", "position"])
    item = np.array([row_of.get(str(value), -1) for value in events["item_id"].to_pylist()], np.int64)
    names, basket = np.unique([str(value) for value in events["basket_id"].to_pylist()], return_inverse=True)
    order = np.lexsort((np.asarray(events["position"]), basket))
    item, basket = item[order], basket[order]
    first, second = item[:-1], item[1:]
    kept = (basket[:-1] == basket[1:]) & (first >= 0) & (second >= 0) & (first != second)
    return np.stack([first, second], axis=1)[kept], hashes(names)[basket[:-1][kept]]


def is_judge(baskets: I64) -> NDArray[np.bool_]:
    """Whether the pairs of baskets with these hashes only judge."""
    return np.asarray(baskets.view(np.uint64) < _HELD_OUT * 2.0**64)


def hashes(names: Iterable[str]) -> I64:
    """A hash int64 of each name."""
    digests = b"".join(blake2b(str(name).encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<i8").astype(np.int64)
