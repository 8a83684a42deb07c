"""Whether x, x_hat and the SIDs tell pairs of consecutive items from other pairs: the AUC of scores of pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64
from drq_spark.formulas.estimates import Estimate, centred_cosines, user_auc
from drq_spark.measure.behaviour.judged import Judged
from drq_spark.measure.behaviour.scans import ItemAnswers, SidAnswers
from drq_spark.metrics import Metric
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes

Score = Callable[[I64, I64], F64]
"""Left rows [n] and right rows [n] of the judged items -> how well each pair goes together, [n]."""


def separation(judged: Judged, pairs: int, scores: Mapping[str, Score], seed: int) -> dict[Metric, Estimate]:
    """AUC of several scores: pairs against the same left items with other partners.

    Args:
        judged: Items and pairs.
        pairs: How many of the pairs are scored at most, those with the lowest keys.
        scores: Name in the metric -> score [n] of left rows [n] and right rows [n].
        seed: Seed of the permutation. Partners are uniform over the items, or the right items of the pairs permuted,
            so that popularity alone is worth .5. One that is the left item itself is left out.
    """
    left, right = judged.pairs[:pairs].T
    users = judged.users[:pairs]
    if not len(left):
        return {}
    partners = {
        "UNIFORM": np.resize(judged.items, len(left)),  # both are in the order of hashes that have nothing in common
        "POPULARITY": np.random.default_rng(seed).permutation(right),
    }
    figures = {}
    for name, score in scores.items():
        positive = score(left, right)
        for kind, partner in partners.items():
            other = partner != left
            negative = score(left[other], partner[other])
            figures[Metric[f"AUC_{name}_{kind}"]] = user_auc(positive, negative, users, users[other])
    return figures


def raw_score(judged: Judged, by_item: ItemAnswers) -> dict[str, Score]:
    """Cosine of the prepared embeddings about the mean of the catalogue."""
    x = judged.x
    assert x is not None
    mean = by_item.total / max(1, by_item.items)
    return {"RAW": lambda left, right: centred_cosines([(x.__getitem__, mean)], left, right)}


def prefix_score(judged: Judged, codebook_sizes: tuple[int, ...]) -> dict[str, Score]:
    """Number of leading codes that two items share."""
    codes = keys_to_codes(judged.sid, codebook_sizes)

    def score(left: I64, right: I64) -> F64:
        return np.asarray((codes[left] == codes[right]).cumprod(axis=1).sum(axis=1), np.float64)

    return {"PREFIX": score}


def embedding_scores(judged: Judged, tokenizer: Tokenizer, by_sid: SidAnswers) -> dict[str, Score]:
    """Cosine of the sum and of the concatenation of a SID's rows of the decode tables, about the catalogue's mean."""
    codes = keys_to_codes(judged.sid, tokenizer.codebook_sizes)
    tables = [table.astype(np.float64) for table in tokenizer.tables or tokenizer.codebooks]
    means = [usage @ table / max(1, by_sid.items) for usage, table in zip(by_sid.usage, tables, strict=True)]
    whole = [(lambda rows: tokenizer.decode_latent(codes[rows]), np.sum(means, axis=0))]
    levels = [(_rows_of(table, codes[:, level]), means[level]) for level, table in enumerate(tables)]
    return {
        "SUM": lambda left, right: centred_cosines(whole, left, right),
        "CONCATENATION": lambda left, right: centred_cosines(levels, left, right),
    }


def _rows_of(table: F64, code: NDArray[np.int32]) -> Callable[[I64], F64]:
    """A function from rows of items to their rows of the decode table of one level."""
    return lambda rows: table[code[rows]]
