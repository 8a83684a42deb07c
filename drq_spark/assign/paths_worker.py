"""The SIDs that an item could have, with what readers would find under each: for items that may have to move."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from drq_spark.arrays import F32, F64, I32
from drq_spark.blocks import row_blocks
from drq_spark.inputs.embeddings import list_column, read_embeddings
from drq_spark.ship import Shipped
from drq_spark.tokenizer.alternatives import Alternatives, alternatives, residual_squares
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.vectors import row_cosines

_BLOCK_ELEMENTS = 2**20  # float64 numbers per array while the paths of a block of rows are decoded
_LARGEST = float(np.finfo(np.float32).max)
SUMS = ("squared_error", "cosine", "residual_square")
"""What of `assignment_worker.Totals` the SID of an item changes, in the order of `sums`."""


def path_finder(
    shipped: Shipped[Tokenizer], most: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (item_id, embedding) of items that have a SID -> `paths_schema`, one row out per row in.

    Args:
        shipped: The tokenizer.
        most: SIDs of an item, its own first; there may be fewer, see `alternatives`.
    """

    def find(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = shipped.value()
        for batch in batches:
            if batch.num_rows:
                yield paths_of_batch(batch, tokenizer, most)

    return find


def paths_of_batch(batch: pa.RecordBatch, tokenizer: Tokenizer, most: int) -> pa.RecordBatch:
    """The paths of one batch of at least one row, as `path_finder` describes."""
    found = read_embeddings(batch.column("embedding"), tokenizer.dim, tokenizer.normalize)
    x = tokenizer.prepare_input(found.x)
    z, _ = tokenizer.encode_prepared(x)
    paths = alternatives(tokenizer, z, most)
    norm, sums = _read_out(tokenizer, x, z, paths)
    every = np.ones(len(x), np.bool_)
    schema = paths_schema(batch.schema.field("item_id").type)
    columns = [
        batch.column("item_id").filter(pa.array(found.usable)),
        list_column(paths.keys, every),
        list_column(paths.cost, every),
        list_column(norm, every),
        list_column(sums, every),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read_out(tokenizer: Tokenizer, x: F32, z: F32, paths: Alternatives) -> tuple[F32, F64]:
    """Per path the norm of what is left of the latent, float32 [n, m], and `SUMS`, float64 [n, m * (2 + L)]."""
    rows, most, levels = paths.codes.shape
    sums = np.empty((rows, most, 2 + levels))
    for block in row_blocks(rows, max(tokenizer.dim, tokenizer.latent_dim), _BLOCK_ELEMENTS):
        for path in range(most):
            sums[block, path] = _of_path(tokenizer, x[block], z[block], paths.codes[block, path])
    norm = np.sqrt(sums[:, :, -1]).clip(max=_LARGEST).astype(np.float32)
    return norm, sums.reshape(rows, most * (2 + levels))


def _of_path(tokenizer: Tokenizer, x: F32, z: F32, codes: I32) -> F64:
    """`SUMS` of rows with one SID each, float64 [n, 2 + L]."""
    decoded = tokenizer.decode(codes)
    error, cosine = np.square(x - decoded).sum(axis=1), row_cosines(x.astype(np.float64), decoded)
    return np.column_stack([error, cosine, residual_squares(tokenizer, z, codes)])


def paths_schema(id_type: pa.DataType) -> pa.Schema:
    """What `path_finder` leaves."""
    return pa.schema(
        {
            "item_id": id_type,
            "sids": pa.list_(pa.int64()),
            "costs": pa.list_(pa.float64()),
            "norms": pa.list_(pa.float32()),
            "sums": pa.list_(pa.float64()),
        }
    )
