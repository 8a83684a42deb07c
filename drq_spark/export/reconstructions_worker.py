"""Decodes the SIDs of Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from drq_spark.blocks import row_blocks
from drq_spark.export.token_rows_worker import codes_of_batch
from drq_spark.inputs.embeddings import list_column
from drq_spark.ship import Shipped
from drq_spark.tokenizer.model import Tokenizer

_LARGEST = float(np.finfo(np.float32).max)


def decoder(shipped: Shipped[Tokenizer]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (item_id, codes) -> (item_id, embedding), x_hat as list<float32>."""

    def decode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = shipped.value()
        for batch in batches:
            for rows in row_blocks(batch.num_rows, tokenizer.dim):
                block = batch.slice(rows.start, rows.stop - rows.start)
                decoded = tokenizer.decode(codes_of_batch(block)).clip(-_LARGEST, _LARGEST).astype(np.float32)
                embedding = list_column(decoded, np.ones(len(decoded), np.bool_))
                yield pa.RecordBatch.from_arrays([block.column("item_id"), embedding], ["item_id", "embedding"])

    return decode
