"""Turns Arrow batches of items into counts of flipped codes.

A batch has columns noise_key (bigint: the item's noise depends on it alone), codes (array<int>: of the item as it is),
exposure (double, not NULL) and embedding. No row about an item leaves the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I32, U64
from drq_spark.formulas.noise import isotropic, noisy, standard_normals
from drq_spark.inputs.embeddings import read_embeddings
from drq_spark.metrics import Ruler
from drq_spark.ship import Shipped
from drq_spark.tokenizer.model import Tokenizer

Work = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]

COUNTS = pa.schema(
    {
        "ruler": pa.string(),
        "eta": pa.float64(),
        "level": pa.int32(),
        "code": pa.int32(),
        "other": pa.int32(),
        "items": pa.int64(),
        "flipped": pa.int64(),
        "exposure": pa.float64(),
        "flipped_exposure": pa.float64(),
        "exposure_square": pa.float64(),
        "flipped_exposure_square": pa.float64(),
    }
)
"""Two kinds of rows. Those with code and other count the items whose code of the level became the other one. Those
without have, per level (0 is the whole SID), all items and those that flipped, and sums of exposure and of its squares
over the same."""

_LATENT_STREAM = 0  # of `standard_normals`
_BLOCK_ELEMENTS = 2**20  # float64 numbers per array while a block of rows is perturbed


@dataclass(frozen=True)
class PerturbedCodes:
    """What one perturbation makes of n rows.

    Attributes:
        ruler: Value of `metrics.Ruler`.
        eta: Scale of the perturbation, None for a second version.
        kept: bool [n], m of them true: rows that are still usable.
        codes: int32 [m, L], the codes of those rows.
    """

    ruler: str
    eta: float | None
    kept: NDArray[np.bool_]
    codes: I32


def noise_counter(shipped: Shipped[Tokenizer], etas: Sequence[float], rhos: Sequence[float]) -> Work:
    """For mapInArrow: items -> `COUNTS`, for noise on the latents and on the embeddings, see `perturbed_codes`."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = shipped.value()
        for batch in batches:
            for block in _blocks(batch, tokenizer):
                rows, x = _read(block, tokenizer)
                for perturbed in perturbed_codes(x, rows.key, tokenizer, etas, rhos):
                    yield from rows.counts(perturbed)

    return count


def version_counter(shipped: Shipped[Tokenizer]) -> Work:
    """For mapInArrow: items -> `COUNTS`, where embeddings are of a second version, and codes are those of the first."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = shipped.value()
        for batch in batches:
            for block in _blocks(batch, tokenizer):
                rows, x = _read(block, tokenizer)
                every = np.ones(len(x), bool)
                yield from rows.counts(PerturbedCodes(Ruler.AFTER.value, None, every, tokenizer.codes(x)))

    return count


def perturbed_codes(
    x: F32, key: U64, tokenizer: Tokenizer, etas: Sequence[float], rhos: Sequence[float]
) -> Iterator[PerturbedCodes]:
    """Codes of raw usable rows x (float32 [n, D]) with noise, for every eta and every rho.

    Latent: z + eta u g / w, g standard normal, u the RMS of the latents per effective coordinate and w the weights,
    both of the last level: isotropic noise of scale eta u in its metric. Coordinates of weight 0 are only read out and
    get none. Input: x + rho ||x|| g / ||g||, prepared and encoded anew. Every item has one g a ruler, from its key
    (uint64 [n]), whatever the scale, so that a curve over scales is smooth.
    """
    z = tokenizer.latent(tokenizer.prepare_input(x))
    normals = standard_normals(key, tokenizer.latent_dim, _LATENT_STREAM)
    step = tokenizer.latent_rms[-1] * normals * _per_weight(tokenizer)
    for eta in etas:
        kept, moved = _usable(z + eta * step)
        yield PerturbedCodes(Ruler.LATENT.value, eta, kept, tokenizer.codes_of_latent(moved))
    direction = isotropic(key, tokenizer.dim)
    for rho in rhos:
        kept, moved = _usable(noisy(x, direction, rho), directed=tokenizer.normalize == "l2")
        yield PerturbedCodes(Ruler.INPUT.value, rho, kept, tokenizer.codes(moved))


def _per_weight(tokenizer: Tokenizer) -> F64:
    """1 / w of the last level, [d]; 0 where w is 0, ones without weights."""
    if tokenizer.weights is None:
        return np.ones(tokenizer.latent_dim)
    weight = tokenizer.weights[-1].astype(np.float64)
    return np.asarray(np.divide(1.0, weight, out=np.zeros_like(weight), where=weight != 0))


def _usable(rows: F64, *, directed: bool = False) -> tuple[NDArray[np.bool_], F32]:
    """Which rows are finite as float32, and not 0 where a direction is needed, bool [n]; and those rows."""
    with np.errstate(over="ignore"):
        narrow = rows.astype(np.float32)
    finite = np.isfinite(narrow).all(axis=1)
    kept = np.asarray(finite & narrow.any(axis=1) if directed else finite)
    return kept, narrow[kept]


@dataclass(frozen=True)
class _Rows:
    """Items as they are: noise key uint64 [n], codes int32 [n, L], exposure float64 [n]."""

    key: U64
    codes: I32
    exposure: F64

    def counts(self, perturbed: PerturbedCodes) -> Iterator[pa.RecordBatch]:
        """Batches of `COUNTS` about one perturbation of the rows."""
        before, exposure = self.codes[perturbed.kept], self.exposure[perturbed.kept]
        flips = before != perturbed.codes
        yield _batch(perturbed, **_totals(flips, exposure))
        row, index = np.nonzero(flips)
        triples = np.stack([index + 1, before[row, index], perturbed.codes[row, index]])
        (level, code, other), items = np.unique(triples, axis=1, return_counts=True)
        yield _batch(perturbed, level=level, code=code, other=other, items=items)


def _totals(flips: NDArray[np.bool_], exposure: F64) -> dict[str, NDArray[np.integer] | F64]:
    """Columns of the rows per level, from bool [m, L] and float64 [m]."""
    flipped = np.concatenate([flips.any(axis=1, keepdims=True), flips], axis=1)
    levels = flipped.shape[1]
    square = exposure * exposure
    return {
        "level": np.arange(levels),
        "items": np.full(levels, len(flipped)),
        "flipped": flipped.sum(axis=0),
        "exposure": np.full(levels, exposure.sum()),
        "flipped_exposure": exposure @ flipped,
        "exposure_square": np.full(levels, square.sum()),
        "flipped_exposure_square": square @ flipped,
    }


def _batch(perturbed: PerturbedCodes, **columns: NDArray[np.integer] | F64) -> pa.RecordBatch:
    """Rows of `COUNTS`, NULL in the columns that are not given; mapInArrow casts nothing, so types are exact."""
    size = len(columns["level"])
    known = {"ruler": pa.repeat(perturbed.ruler, size)}
    if perturbed.eta is not None:
        known["eta"] = pa.repeat(float(perturbed.eta), size)
    known |= {name: pa.array(values, COUNTS.field(name).type) for name, values in columns.items()}
    return pa.RecordBatch.from_arrays(
        [known.get(field.name, pa.nulls(size, field.type)) for field in COUNTS], schema=COUNTS
    )


def _blocks(batch: pa.RecordBatch, tokenizer: Tokenizer) -> Iterator[pa.RecordBatch]:
    """Parts of a batch that keep arrays small, however wide its rows are."""
    step = max(64, _BLOCK_ELEMENTS // max(tokenizer.dim, tokenizer.latent_dim))
    return (batch.slice(start, step) for start in range(0, batch.num_rows, step))


def _read(block: pa.RecordBatch, tokenizer: Tokenizer) -> tuple[_Rows, F32]:
    """The rows of a block with a usable embedding, and the embeddings, float32 [n, D]."""
    found = read_embeddings(block.column("embedding"), tokenizer.dim, tokenizer.normalize)
    codes = block.column("codes").flatten().to_numpy().reshape(-1, tokenizer.levels)[found.usable]
    key, exposure = (block.column(name).to_numpy()[found.usable] for name in ("noise_key", "exposure"))
    return _Rows(key.view(np.uint64), codes, exposure), found.x
