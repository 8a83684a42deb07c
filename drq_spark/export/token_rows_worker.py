"""Spells the SIDs of Arrow batches as tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from drq_spark.arrays import I32
from drq_spark.tokens import SidTokens

Batches = Iterator[pa.RecordBatch]


def codes_of_batch(batch: pa.RecordBatch) -> I32:
    """The column codes (lists of one length, none NULL) of a batch with at least one row, int32 [n, L]."""
    flat = batch.column("codes").flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.int32).reshape(batch.num_rows, -1)


def line_writer(tokens: SidTokens) -> Callable[[Batches], Batches]:
    """For mapInArrow: (key string, codes, suffix) -> (value), a member of a JSON object: `"key": ["<a_1>", ..]`."""

    def write(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows:
                rows = tokens.rows(codes_of_batch(batch), batch.column("suffix").to_numpy())
                keys = batch.column("key").to_pylist()
                members = [f"{_json(key)}: {_json(row)}" for key, row in zip(keys, rows, strict=True)]
                yield pa.RecordBatch.from_arrays([pa.array(members, pa.string())], ["value"])

    return write


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def text_writer(tokens: SidTokens) -> Callable[[Batches], Batches]:
    """For mapInArrow: (item_id, codes, suffix) -> (item_id, sid), sid the tokens as one text."""

    def write(batches: Batches) -> Batches:
        for batch in batches:
            if batch.num_rows:
                texts = tokens.texts(codes_of_batch(batch), batch.column("suffix").to_numpy())
                columns = [batch.column("item_id"), pa.array(texts, pa.string())]
                yield pa.RecordBatch.from_arrays(columns, ["item_id", "sid"])

    return write
