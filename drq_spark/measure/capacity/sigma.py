"""sigma of every level under every ruler: noise on the latents, noise on the embeddings, a second version of them.

Between tokenizers with different latent spaces the perturbation must be of what they share, the embeddings: x becomes
x', and sigma_l is the RMS displacement per effective coordinate of W^l (f(x') - f(x)), see `formulas.movement`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.arrays import F32, U64
from drq_spark.chunks import embedding_matrix
from drq_spark.errors import InputRefused
from drq_spark.formulas.movement import Movement, movement
from drq_spark.formulas.noise import isotropic, noisy
from drq_spark.hashing import item_key
from drq_spark.inputs.embeddings import checked_rows
from drq_spark.measure.aggregates import Scale, latent_scales
from drq_spark.measure.subject import Subject
from drq_spark.metrics import Ruler
from drq_spark.tokenizer import Tokenizer

MOST_ITEMS = 10_000
"""Items that sigma is estimated from, at most: about 1 % of error."""

_BLOCK_ROWS = 1000
_LARGEST = float(np.finfo(np.float32).max)


def scales(subject: Subject) -> list[Scale]:
    """All sigmas of a subject: for each of `measure.etas` and, with items, for each of `measure.rhos` and for `after`.

    Estimates come from at most 10,000 items with the lowest hash of the id, whose embeddings reach the driver.
    Each ruler takes one thin pass over the ids and one over the embeddings, which stay where they are: drawn ids are
    broadcast.

    Without a tokenizer there are no scales, for such external SIDs have no latents. Where the latents are not known
    to be made of the embeddings, there are only those for noise on the latents.

    Raises:
        InputRefused: no item has a usable embedding in the second version.
    """
    if subject.tokenizer is None:
        return []
    found = latent_scales(subject.tokenizer, subject.config.measure)
    if subject.drawn_from is not None and subject.rebuilds:
        found += _input_scales(subject, subject.drawn_from, subject.tokenizer)
        if subject.after is not None:
            found.append(_after_scale(subject, subject.drawn_from, subject.after, subject.tokenizer))
    return found


def items_of_scales(subject: Subject) -> list[DataFrame]:
    """item_id and key of the items whose embeddings `scales` reads, for each ruler that asks for some."""
    if subject.items is None or not subject.rebuilds:
        return []
    return [_of_input(subject)] + ([] if subject.after is None else [_of_after(subject, subject.after)])


def _of_input(subject: Subject) -> DataFrame:
    return _lowest_keys(subject, subject.sids, Ruler.INPUT)


def _of_after(subject: Subject, after: DataFrame) -> DataFrame:
    both = subject.sids.select("item_id").join(after.select("item_id"), "item_id", "left_semi")
    return _lowest_keys(subject, both, Ruler.AFTER)


def perturbed(x: F32, keys: U64, rho: float) -> F32:
    """x' of `formulas.noise.noisy`, float32 [n, D] of rows x [n, D] and their keys [n]; no number is beyond float32."""
    moved = noisy(x, isotropic(keys, x.shape[1]), rho)
    return np.asarray(moved.clip(-_LARGEST, _LARGEST), np.float32)


def _input_scales(subject: Subject, items: DataFrame, tokenizer: Tokenizer) -> list[Scale]:
    drawn = _of_input(subject)
    rows = _embeddings(subject, items, drawn, tokenizer)
    x, keys = embedding_matrix(rows, tokenizer.dim), rows["key"].to_numpy().astype(np.int64).view(np.uint64)

    def scale(rho: float) -> Scale:
        found = _movement(tokenizer, x, lambda part: perturbed(x[part], keys[part], rho))
        return Scale(Ruler.INPUT, rho, found.rms, found.standard_error)

    return [scale(rho) for rho in subject.config.measure.rhos]


def _after_scale(subject: Subject, items: DataFrame, after: DataFrame, tokenizer: Tokenizer) -> Scale:
    drawn = _of_after(subject, after)
    first, second = (_embeddings(subject, version, drawn, tokenizer) for version in (items, after))
    place = pc.index_in(second["item_id"], value_set=first["item_id"].combine_chunks())
    kept = second.filter(pc.is_valid(place))
    if not len(kept):
        raise InputRefused(
            f"measure.embeddings_after {subject.config.measure.embeddings_after!r}: no item with a SID has a usable "
            f"embedding of {tokenizer.dim} numbers there; are its ids those of the items table?"
        )
    x, other = (embedding_matrix(rows, tokenizer.dim) for rows in (first.take(pc.drop_null(place)), kept))
    found = _movement(tokenizer, x, lambda part: other[part])
    return Scale(Ruler.AFTER, None, found.rms, found.standard_error)


def _movement(tokenizer: Tokenizer, x: F32, moved: Callable[[slice], F32]) -> Movement:
    """Movement of the latents of raw rows x [n, D], given x' of any part of the rows."""

    def displacements() -> Iterator[NDArray[np.float64]]:
        for part in _parts(len(x)):
            before, after = (tokenizer.latent(tokenizer.prepare_input(rows)) for rows in (x[part], moved(part)))
            yield after.astype(np.float64) - before

    return movement(displacements(), tokenizer.weights or (None,) * tokenizer.levels)


def _parts(rows: int) -> list[slice]:
    """Slices of about equal length, at most `_BLOCK_ROWS`."""
    cuts = np.linspace(0, rows, ceil(rows / _BLOCK_ROWS) + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(cuts)]


def _lowest_keys(subject: Subject, ids: DataFrame, ruler: Ruler) -> DataFrame:
    """item_id, key of the items with the lowest keys, from a staging folder."""
    keyed = ids.select("item_id", item_key(ruler.value, subject.config.seed).alias("key"))
    return subject.staging.keep_once(keyed.orderBy("key", "item_id").limit(MOST_ITEMS), f"ruler_{ruler.value}")


def _embeddings(subject: Subject, version: DataFrame, drawn: DataFrame, tokenizer: Tokenizer) -> pa.Table:
    """item_id, key, embedding of the drawn items with a usable one, by key."""
    rows = version.select("item_id", "embedding").join(F.broadcast(drawn), "item_id")
    check = checked_rows(tokenizer.dim, tokenizer.normalize)
    schema = f"item_id {subject.id_type}, key bigint, reason string, embedding array<float>"
    checked = rows.select("item_id", "key", "embedding").mapInArrow(check, schema)
    usable = checked.where("reason IS NULL").drop("reason").toArrow()
    return usable.sort_by([("key", "ascending"), ("item_id", "ascending")])
