"""Arrow batches of items in, Arrow batches of semantic IDs out. Runs on executors: numpy and pyarrow only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drq_spark.arrays import F64
from drq_spark.blocks import row_blocks
from drq_spark.inputs.embeddings import list_column, read_embeddings
from drq_spark.ship import Shipped
from drq_spark.tokenizer.model import Tokenizer
from drq_spark.vectors import row_cosines

_BLOCK_ELEMENTS = 2**20  # float64 numbers per array while a block of rows is encoded and decoded
_LARGEST = float(np.finfo(np.float32).max)

TOTALS_DDL = (
    "items bigint, squared_error double, cosine double, square double, offset array<double>, latent_square double, "
    "latent_offset array<double>, residual_square array<double>, margin array<double>, uncertain array<bigint>"
)
ASSIGNED_DDL = (
    "item_id {id}, reason string, codes array<int>, sid bigint, margin array<float>, residual_norm float, "
    f"exposure double, embedding_hash bigint, totals struct<{TOTALS_DDL.replace(' ', ':').replace(',:', ',')}>"
)


@dataclass
class Totals:
    """Sums over the assigned rows of one batch; fields as in `TOTALS_DDL`.

    square and offset are sums of ||x - a||^2 and of x - a about the tokenizer's anchor point a (and likewise for the
    latents), from which the sum about the exact mean follows without cancellation.
    """

    items: int
    squared_error: float
    cosine: float
    square: float
    offset: F64
    latent_square: float
    latent_offset: F64
    residual_square: F64
    margin: F64
    uncertain: NDArray[np.int64]

    @classmethod
    def zero(cls, tokenizer: Tokenizer) -> Totals:
        """The totals of no rows."""
        levels = tokenizer.levels
        return cls(
            0, 0.0, 0.0, 0.0, np.zeros(tokenizer.dim), 0.0, np.zeros(tokenizer.latent_dim),
            np.zeros(levels), np.zeros(levels), np.zeros(levels, np.int64),
        )  # fmt: skip

    def add(self, other: Totals) -> None:
        """Add the totals of other rows."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def as_row(self) -> dict[str, Any]:
        """Plain values for Arrow."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values}


@dataclass(frozen=True)
class Assigned:
    """SIDs of n usable rows and their totals.

    Attributes:
        codes: int32 [n, L]. sid: int64 [n]. margin: float32 [n, L]. residual_norm: float32 [n]. totals: over all n.
    """

    codes: NDArray[np.int32]
    sid: NDArray[np.int64]
    margin: NDArray[np.float32]
    residual_norm: NDArray[np.float32]
    totals: Totals


def assigner(shipped: Shipped[Tokenizer]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (item_id, embedding, exposure, embedding_hash) -> `ASSIGNED_DDL`, one row out per row in.

    Rows without a usable embedding get a reason instead of a SID. The first row of a batch carries the batch's totals.
    """

    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = shipped.value()
        for batch in batches:
            if batch.num_rows:
                yield assign_batch(batch, tokenizer)

    return assign


def assign_batch(batch: pa.RecordBatch, tokenizer: Tokenizer) -> pa.RecordBatch:
    """One batch of at least one row, as `assigner` describes."""
    found = read_embeddings(batch.column("embedding"), tokenizer.dim, tokenizer.normalize)
    result = assign_rows(found.x, tokenizer)
    schema = assigned_schema(batch.schema.field("item_id").type)
    place = np.cumsum(found.usable) - 1
    totals = [result.totals.as_row()] + [None] * (batch.num_rows - 1)
    columns = [
        batch.column("item_id"),
        found.reason,
        list_column(result.codes, found.usable),
        pa.array(_spread(result.sid, place), mask=~found.usable),
        list_column(result.margin, found.usable),
        pa.array(_spread(result.residual_norm, place), mask=~found.usable),
        batch.column("exposure"),
        batch.column("embedding_hash"),
        pa.array(totals, schema.field("totals").type),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)  # casts a column of another type where no value is lost


def assign_rows(x: NDArray[np.float32], tokenizer: Tokenizer) -> Assigned:
    """SIDs of raw usable rows x, float32 [n, D], and their totals; memory is a few blocks, whatever n."""
    widest = max(tokenizer.dim, tokenizer.latent_dim)
    anchor = tokenizer.anchor()
    blocks = row_blocks(len(x), widest, _BLOCK_ELEMENTS, least=64)
    parts = [_assign_block(x[block], tokenizer, anchor) for block in blocks]
    totals = Totals.zero(tokenizer)
    for part in parts:
        totals.add(part.totals)
    if not parts:
        parts = [_assign_block(x, tokenizer, anchor)]
    return Assigned(
        codes=np.concatenate([part.codes for part in parts]),
        sid=np.concatenate([part.sid for part in parts]),
        margin=np.concatenate([part.margin for part in parts]),
        residual_norm=np.concatenate([part.residual_norm for part in parts]),
        totals=totals,
    )


def _assign_block(raw: NDArray[np.float32], tokenizer: Tokenizer, anchor: tuple[F64, F64]) -> Assigned:
    x = tokenizer.prepare_input(raw)
    z = tokenizer.latent(x)
    encoding = tokenizer.encode_latent(z)
    decoded = tokenizer.decode(encoding.codes)
    offset, latent_offset = x - anchor[0], tokenizer.weighed(z - anchor[1])
    totals = Totals(
        items=len(x),
        squared_error=float(np.square(x - decoded).sum()),
        cosine=float(row_cosines(x.astype(np.float64), decoded).sum()),
        square=float(np.square(offset).sum()),
        offset=offset.sum(axis=0),
        latent_square=float(np.square(latent_offset).sum()),
        latent_offset=latent_offset.sum(axis=0),
        residual_square=encoding.residual_square.sum(axis=0),
        margin=encoding.margin.sum(axis=0, dtype=np.float64),
        uncertain=encoding.uncertain,
    )
    norm = np.sqrt(encoding.residual_square[:, -1]).clip(max=_LARGEST).astype(np.float32)
    return Assigned(encoding.codes, tokenizer.keys(encoding.codes), encoding.margin, norm, totals)


def assigned_schema(id_type: pa.DataType) -> pa.Schema:
    """Arrow schema of `ASSIGNED_DDL`; mapInArrow casts nothing, so the batch must have exactly these types."""
    float64, int64 = pa.float64(), pa.int64()
    totals = pa.struct(
        [
            ("items", int64), ("squared_error", float64), ("cosine", float64), ("square", float64),
            ("offset", pa.list_(float64)), ("latent_square", float64), ("latent_offset", pa.list_(float64)),
            ("residual_square", pa.list_(float64)), ("margin", pa.list_(float64)), ("uncertain", pa.list_(int64)),
        ]
    )  # fmt: skip
    return pa.schema(
        [
            ("item_id", id_type), ("reason", pa.string()), ("codes", pa.list_(pa.int32())), ("sid", int64),
            ("margin", pa.list_(pa.float32())), ("residual_norm", pa.float32()), ("exposure", float64),
            ("embedding_hash", int64), ("totals", totals),
        ]
    )  # fmt: skip


def _spread(values: NDArray[Any], place: NDArray[np.intp]) -> NDArray[Any]:
    """Values at the usable places; what stands elsewhere is masked."""
    return values[place] if len(values) else np.zeros(len(place), values.dtype)
