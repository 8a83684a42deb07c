"""The drawn events and candidates as arrays on the driver; how much there is of them `behaviour_split` bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from drq_spark.arrays import F64, I32, I64
from drq_spark.chunks import embedding_matrix
from drq_spark.hashing import uniform
from drq_spark.probe.behaviour_data import NO_ITEM, Candidates, Questions, Sequences
from drq_spark.probe.event_parts import Part
from drq_spark.tokenizer.model import Normalize, normalized

_OTHERS = 20  # items beside the one that came, for every question


def sorted_candidates(rows: DataFrame) -> pa.Table:
    """The candidates on the driver, in the order of their ids as text: the same rows for any partitioning."""
    found = rows.withColumn("text", F.col("item_id").cast("string")).toArrow().sort_by("text")
    return found.drop_columns("text")


def candidates_of(
    rows: pa.Table, codebook_sizes: Sequence[int], dim: int, normalize: Normalize, trained: I64
) -> Candidates:
    """The items as arrays, in the order of the rows.

    Args:
        rows: item_id, codes, suffix, embedding (array<float>), and per attribute a_1, a_2, ..
        codebook_sizes: K of each level.
        dim: D.
        normalize: What is done to embeddings first.
        trained: int64 [n], events of each in the training part.
    """
    names = sorted((name for name in rows.column_names if name.startswith("a_")), key=lambda name: int(name[2:]))
    numbered = [_numbered(rows[name].combine_chunks()) for name in names]
    codes, suffix = codes_and_suffixes(rows, len(codebook_sizes))
    return Candidates(
        x=normalized(embedding_matrix(rows, dim), normalize),
        codes=codes,
        codebook_sizes=tuple(codebook_sizes),
        suffix=suffix,
        attributes=np.stack(numbered, axis=1) if numbered else np.zeros((len(rows), 0), np.int32),
        attribute_sizes=tuple(int(numbers.max(initial=0)) + 1 for numbers in numbered),
        trained_events=trained,
    )


def codes_and_suffixes(rows: pa.Table, levels: int) -> tuple[I32, I64]:
    """SIDs int32 [n, L] of rows with columns codes and suffix, and `numbers_within_sids`."""
    codes = rows["codes"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, levels)
    return codes.astype(np.int32), numbers_within_sids(codes, rows["suffix"].to_numpy())


def numbers_within_sids(codes: NDArray[np.integer], suffix: NDArray[np.integer]) -> I64:
    """Numbers int64 [n] from 0 within each SID, of SIDs [n, L].

    The numbers follow the suffixes [n], then the rows. Suffixes themselves will not do: where a policy gives none they
    are all 0, and of the candidates of one SID some may have high ones.
    """
    _, sid = np.unique(codes, axis=0, return_inverse=True)
    sid = sid.reshape(-1)
    order = np.lexsort((suffix, sid))
    begins = np.flatnonzero(np.diff(sid[order], prepend=-1))
    numbers = np.empty(len(codes), np.int64)
    numbers[order] = np.arange(len(codes)) - np.repeat(begins, np.diff(begins, append=len(codes)))
    return numbers


def trained_events(sequences: Sequences, candidates: int) -> I64:
    """Events of each candidate in the training part, int64 [n]."""
    return np.bincount(sequences.items, minlength=candidates).astype(np.int64)


def _numbered(values: pa.Array) -> I32:
    """The values in sorted order have the numbers from 1, a missing one has 0: int32 [n]."""
    known = pc.unique(values.drop_null())
    ordered = known.take(pc.sort_indices(known))
    return np.asarray(pc.add(pc.index_in(values, value_set=ordered), 1).fill_null(0), np.int32)


def numbered_events(events: DataFrame, ids: pa.Array) -> DataFrame:
    """Events (user_key, place, item_id, part) of candidates, with row (int), the place of the item among the ids."""
    numbers = pa.table({"item_id": ids, "row": pa.array(np.arange(len(ids), dtype=np.int32))})
    rows = events.sparkSession.createDataFrame(numbers)
    return events.join(F.broadcast(rows), "item_id").select("user_key", "place", "row", "part")


def training_sequences(events: DataFrame) -> Sequences:
    """The training part of `numbered_events`; users in the order of their keys."""
    rows = events.where(F.col("part") == Part.TRAINING.value).select("user_key", "place", "row").toArrow()
    user, place, items = (rows[name].to_numpy() for name in ("user_key", "place", "row"))
    order = np.lexsort((place, user))
    starts = np.flatnonzero(np.diff(user[order], prepend=user[order][:1] - 1)) if len(user) else np.zeros(0, np.int64)
    return Sequences(np.append(starts, len(user)).astype(np.int64), items[order].astype(np.int32))


def asked_events(events: DataFrame, history: int) -> DataFrame:
    """Events of the judging parts that have an earlier one: user_key, place, row, part, history (array<int>).

    Args:
        events: Rows of `numbered_events`.
        history: H, the items before an event that are kept.
    """
    before = Window.partitionBy("user_key").orderBy("place").rowsBetween(-history, -1)
    rows = events.withColumn("history", F.collect_list("row").over(before))
    return rows.where((F.col("part") != Part.TRAINING.value) & (F.size("history") > 0))


def questions_of(asked: DataFrame, part: Part, most: int, history: int, weights: I64, seed: int) -> Questions:
    """Events of a part as questions, about `most` of them by hash, in the order of their users and places.

    Args:
        asked: Rows of `asked_events`, best from a table: they are read twice.
        part: Validation or test.
        most: How many.
        history: H.
        weights: int64 [n], events of each candidate in the training part: other items are drawn in proportion.
        seed: Of what is drawn.
    """
    of_part = asked.where(F.col("part") == part.value)
    share = min(1.0, most / max(1, of_part.count()))
    rows = of_part.where(_drawn(seed, share)).drop("part").toArrow()
    rows = rows.sort_by([("user_key", "ascending"), ("place", "ascending")])
    target = rows["row"].to_numpy().astype(np.int32)
    return Questions(
        history=_padded(rows["history"].combine_chunks(), history),
        target=target,
        others=other_items(target, weights, seed),
        users=rows["user_key"].to_numpy(),
    )


def _drawn(seed: int, share: float) -> Column:
    return uniform(F.xxhash64(F.lit("question"), "user_key", "place", F.lit(seed))) < share


def _padded(histories: pa.ListArray, length: int) -> I32:
    """int32 [q, length], `NO_ITEM` in front."""
    sizes = np.asarray(pc.list_value_length(histories), np.int64)
    values = histories.flatten().to_numpy(zero_copy_only=False)
    padded = np.full((len(sizes), length), NO_ITEM, np.int32)
    padded[np.arange(length) >= (length - sizes)[:, None]] = values
    return padded


def other_items(target: I32, weights: I64, seed: int) -> I32:
    """Items that did not come, int32 [q, `_OTHERS`]; none is the target.

    They are drawn in proportion to the weights, so that being popular is no sign of the item that came; beside an item
    of weight 0 they are drawn evenly among such items, so that being new is none, either.
    """
    random = np.random.default_rng([seed, len(target)])
    cold = weights[target] == 0
    shares = (np.cumsum(weights, dtype=np.float64), np.cumsum(weights == 0, dtype=np.float64))
    drawn = np.empty((len(target), _OTHERS), np.int64)
    for of_cold, share in enumerate(shares):
        rows = np.flatnonzero(cold == bool(of_cold))
        if len(rows):
            drawn[rows] = _beside(target[rows], share, random)
    return drawn.astype(np.int32)


def _beside(target: I32, share: F64, random: np.random.Generator) -> I64:
    """Items by their cumulated shares, int64 [q, `_OTHERS`], drawn anew where one is the target."""
    own = np.diff(share, prepend=0.0)[target] / share[-1]
    before = (share[target] / share[-1] - own)[:, None]
    u = random.random((len(target), _OTHERS)) * (1.0 - own[:, None])
    u = np.where(u < before, u, u + own[:, None])  # leaves out what would be the target
    found = np.searchsorted(share, u * share[-1], side="right")
    return np.asarray(np.minimum(found, len(share) - 1))
