"""Turns Arrow batches of items into Arrow batches of semantic IDs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drq_spark.arrays import F64
from drq_spark.blocks import row_blocks
from drq_spark.inputs.embeddings import list_column, read_embeddings
from drq_spark.tokenizer.model import Tokenizer

_BLOCK_ELEMENTS = 2**20  # float64 numbers per array while a block of rows is encoded and decoded
_LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Totals:
    """Sums over assigned rows.

    Attributes:
        items: Number of rows.
        squared_error: Sum of ||x - x_hat||^2.
        cosine: Sum of cos(x, x_hat).
        square: Sum of ||x - a||^2 about the tokenizer's anchor point a.
        offset: Sum of x - a, [D]. With `square` it gives the sum about the exact mean without cancellation.
        latent_square: The same as `square` for the latents, in the metric of what is left of them.
        latent_offset: The same as `offset` for the latents, [d].
        residual_square: Sum of the squares of what is left of the latent after each level, [L].
        margin: Sum of the margins of each level, [L].
        uncertain: Number of rows of each level that were decided in float64, int64 [L].
        compiled: Number of rows that the compiled search encoded.
        on_gpu: Number of rows among these whose products a GPU made.
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
    compiled: int
    on_gpu: int

    @classmethod
    def zero(cls, tokenizer: Tokenizer) -> Totals:
        """The totals of no rows."""
        levels = tokenizer.levels
        return cls(
            items=0,
            squared_error=0.0,
            cosine=0.0,
            square=0.0,
            offset=np.zeros(tokenizer.dim),
            latent_square=0.0,
            latent_offset=np.zeros(tokenizer.latent_dim),
            residual_square=np.zeros(levels),
            margin=np.zeros(levels),
            uncertain=np.zeros(levels, np.int64),
            compiled=0,
            on_gpu=0,
        )

    def add(self, other: Totals) -> None:
        """Add the totals of other rows."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def vector(self) -> F64:
        """All numbers in a row, so that Spark can sum them place by place; counts are exact up to 2^53."""
        return np.concatenate([np.ravel(getattr(self, field.name)) for field in fields(self)], dtype=np.float64)

    @classmethod
    def of_vector(cls, vector: F64, tokenizer: Tokenizer) -> Totals:
        """The totals whose `vector` has these numbers."""
        zeros = [getattr(cls.zero(tokenizer), field.name) for field in fields(cls)]
        parts = np.split(vector, np.cumsum([np.size(zero) for zero in zeros])[:-1])
        return cls(*[_like(zero, part) for zero, part in zip(zeros, parts, strict=True)])


def _like(zero: Any, part: F64) -> Any:
    """Numbers in the form of a field of `Totals.zero`."""
    return part.astype(zero.dtype) if isinstance(zero, np.ndarray) else type(zero)(part[0])


@dataclass(frozen=True)
class Assigned:
    """SIDs of n usable rows and their totals.

    Attributes:
        codes: int32 [n, L].
        sid: int64 [n].
        margin: float32 [n, L].
        residual_norm: float32 [n].
        totals: Totals over all n.
    """

    codes: NDArray[np.int32]
    sid: NDArray[np.int64]
    margin: NDArray[np.float32]
    residual_norm: NDArray[np.float32]
    totals: Totals


class Source(Protocol):
    """Where a task has its tokenizer from: `ship.Shipped`, or `gpu_tasks_worker.OnGpu`."""

    def value(self) -> Tokenizer:
        """The tokenizer, on an executor."""


def assigner(shipped: Source) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For mapInArrow: (item_id, embedding, exposure, embedding_hash, wanted) -> `assigned_schema`, one row per row.

    Rows without a usable embedding get a reason instead of a SID. Usable ones of wanted rows (boolean, not NULL) are
    kept: they go out as they came. The last row of a task is no item's: it has the totals of all its rows alone.
    """

    def assign(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer, schema = shipped.value(), None
        totals = Totals.zero(tokenizer)
        for batch in batches:
            if batch.num_rows:
                rows, of_batch = assign_batch(batch, tokenizer)
                totals.add(of_batch)
                schema = rows.schema
                yield rows
        if schema is not None:
            yield _totals_row(totals, schema)

    return assign


def _totals_row(totals: Totals, schema: pa.Schema) -> pa.RecordBatch:
    """One row of `assigned_schema` with totals alone."""
    row = {name: None for name in schema.names} | {"totals": totals.vector()}
    return pa.RecordBatch.from_pylist([row], schema=schema)


def assign_batch(batch: pa.RecordBatch, tokenizer: Tokenizer) -> tuple[pa.RecordBatch, Totals]:
    """Assign one batch of at least one row, as `assigner` describes; returns also the totals of its rows."""
    found = read_embeddings(batch.column("embedding"), tokenizer.dim, tokenizer.normalize)
    result = assign_rows(found.x, tokenizer)
    schema = assigned_schema(batch.schema.field("item_id").type)
    place = np.cumsum(found.usable) - 1
    kept = found.usable & np.asarray(batch.column("wanted"))
    columns = [
        batch.column("item_id"),
        found.reason,
        list_column(result.codes, found.usable),
        pa.array(_at_usable(result.sid, place), mask=~found.usable),
        list_column(result.margin, found.usable),
        pa.array(_at_usable(result.residual_norm, place), mask=~found.usable),
        batch.column("exposure"),
        batch.column("embedding_hash"),
        pa.array(kept),
        list_column(found.x[kept[found.usable]], kept),
        pa.nulls(batch.num_rows, schema.field("totals").type),
    ]
    rows = pa.RecordBatch.from_arrays(columns, schema=schema)  # casts a column of another type where no value is lost
    return rows, result.totals


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
    z, encoding = tokenizer.encode_prepared(x)
    sums = tokenizer.reconstruction_sums(x, z, encoding.codes, anchor)
    totals = Totals(
        items=len(x),
        squared_error=sums.squared_error,
        cosine=sums.cosine,
        square=sums.square,
        offset=sums.offset,
        latent_square=sums.latent_square,
        latent_offset=sums.latent_offset,
        residual_square=encoding.residual_square.sum(axis=0),
        margin=encoding.margin.sum(axis=0, dtype=np.float64),
        uncertain=encoding.uncertain,
        compiled=encoding.compiled,
        on_gpu=encoding.on_gpu,
    )
    norm = np.sqrt(encoding.residual_square[:, -1]).clip(max=_LARGEST).astype(np.float32)
    return Assigned(encoding.codes, tokenizer.keys(encoding.codes), encoding.margin, norm, totals)


def assigned_schema(id_type: pa.DataType) -> pa.Schema:
    """What `assigner` leaves; mapInArrow casts nothing, so the batches must have exactly these types."""
    return pa.schema(
        {
            "item_id": id_type,
            "reason": pa.string(),
            "codes": pa.list_(pa.int32()),
            "sid": pa.int64(),
            "margin": pa.list_(pa.float32()),
            "residual_norm": pa.float32(),
            "exposure": pa.float64(),
            "embedding_hash": pa.int64(),
            "kept": pa.bool_(),
            "embedding": pa.list_(pa.float32()),
            "totals": pa.list_(pa.float64()),
        }
    )


def _at_usable(values: NDArray[Any], place: NDArray[np.intp]) -> NDArray[Any]:
    """Values at the usable places; what stands elsewhere is masked."""
    return values[place] if len(values) else np.zeros(len(place), values.dtype)
