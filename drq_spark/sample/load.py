"""The tables of the sample step as numpy on the driver, chunk by chunk, in the order of their keys."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from drq_spark.arrays import I32, I64
from drq_spark.chunks import chunks, embedding_matrix
from drq_spark.errors import ConsistencyError
from drq_spark.sample.values import Behaviour, Sample, short_digest

_PAIR_BYTES = 128  # two ids as text and a key; only the number of chunks depends on it


def load_sample(sample: DataFrame, dim: int) -> Sample:
    """Read the sample table (item_id, sample_key, split_key, exposure, embedding) of one run.

    Rows are in the order of sample_key, then item_id. Memory is the matrix and one chunk. A column codes (array<int>)
    holds the SIDs of items that have one, and is NULL for the others.
    """
    rows = sample.count()
    codes: list[pa.Array] = []
    x, split_key, exposure = np.empty((rows, dim), np.float32), np.empty(rows, np.int64), np.empty(rows, np.float64)
    ids, vectors, filled = hashlib.sha256(), hashlib.sha256(), 0  # two, so that chunks leave no mark
    for chunk in chunks(sample, "sample_key", rows * dim * 4):
        part = slice(filled, filled + len(chunk))
        x[part] = block = embedding_matrix(chunk, dim)
        split_key[part] = chunk.column("split_key")
        exposure[part] = chunk.column("exposure")
        ids.update("".join(f"{item}\0" for item in chunk.column("item_id").cast(pa.string()).to_pylist()).encode())
        vectors.update(block.tobytes())
        if "codes" in sample.columns:
            codes.append(chunk.column("codes").combine_chunks())
        filled += len(chunk)
    pa.default_memory_pool().release_unused()  # Arrow would keep what the chunks took
    fingerprint = short_digest(ids.digest(), vectors.digest())
    shown = None if np.isnan(exposure).any() else exposure
    return Sample(x, fingerprint, split_key, shown, codes=_codes(codes) if codes else None)


def _codes(chunks_of_codes: list[pa.Array]) -> I32 | None:
    """SIDs int32 [n, L], -1 in the rows of items that have none; None where no item has one."""
    column = pa.concat_arrays(chunks_of_codes)
    known = np.asarray(column.is_valid())
    if not known.any():
        return None
    found = np.asarray(column.drop_null().flatten(), np.int32).reshape(int(known.sum()), -1)
    codes = np.full((len(column), found.shape[1]), -1, np.int32)
    codes[known] = found
    return codes


def load_behaviour(items: DataFrame, pairs: DataFrame, dim: int) -> Behaviour:
    """Read the tables behaviour_items (item_id, split_key, embedding) and behaviour_pairs of one run.

    Items are in the order of split_key, then item_id, pairs in that of pair_key, then the two ids. Memory is the
    result, the ids of the items, and one chunk.

    Raises:
        ConsistencyError: a pair names an item that is not among the items.
    """
    rows = items.count()
    x, split_key, filled = np.empty((rows, dim), np.float32), np.empty(rows, np.int64), 0
    ids: list[pa.Table] = []
    for chunk in chunks(items, "split_key", rows * dim * 4):
        part = slice(filled, filled + len(chunk))
        x[part], split_key[part] = embedding_matrix(chunk, dim), chunk.column("split_key")
        ids.append(chunk.select(["item_id"]))
        filled += len(chunk)
    found = _rows_of_pairs(pairs, pa.concat_tables(ids).column("item_id").combine_chunks())
    pa.default_memory_pool().release_unused()
    return Behaviour(x, split_key, *found)


def _rows_of_pairs(pairs: DataFrame, ids: pa.Array) -> tuple[I64, I64]:
    """Training and held-out pairs as rows of `ids`, int64 [., 2] each."""
    parts: dict[bool, list[I64]] = {False: [np.empty((0, 2), np.int64)], True: [np.empty((0, 2), np.int64)]}
    for chunk in chunks(pairs, "pair_key", pairs.count() * _PAIR_BYTES):
        ends = [pc.index_in(chunk.column(name), value_set=ids) for name in ("item_id", "next_item_id")]
        if any(end.null_count for end in ends):
            raise ConsistencyError("behaviour_pairs names items that behaviour_items does not have: sample again")
        rows, held_out = np.stack([np.asarray(end, np.int64) for end in ends], axis=1), np.asarray(chunk["held_out"])
        for kind, part in parts.items():
            part.append(rows[held_out == kind])
    return np.concatenate(parts[False]), np.concatenate(parts[True])
