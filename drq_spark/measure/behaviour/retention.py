"""What x_hat and the SIDs keep of what users do: ranks of the next item, and scores of true pairs against others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F64, I64
from drq_spark.formulas.estimates import Estimate, centred_cosines, user_auc, user_mean, user_ratio
from drq_spark.formulas.ranking import hits
from drq_spark.measure.behaviour.judged import Judged
from drq_spark.measure.behaviour.scans import ItemAnswers, SidAnswers
from drq_spark.metrics import Metric
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import keys_to_codes

Score = Callable[[I64, I64], F64]

_RANKED = {
    20: (Metric.RAW_HIT_RATE_20, Metric.HIT_RATE_20, Metric.RETENTION_20),
    200: (Metric.RAW_HIT_RATE_200, Metric.HIT_RATE_200, Metric.RETENTION_200),
}


def retention(users: I64, by_item: ItemAnswers, by_sid: SidAnswers) -> dict[Metric, Estimate]:
    """Hit rates of the next item at 20 and 200 by x and by x_hat, and their ratio.

    A figure of k is left out where no item has k others.

    Args:
        users: int64 [P], a key of each ranked pair's user.
        by_item: the answers for these pairs by x.
        by_sid: the answers for these pairs by x_hat.
    """
    figures: dict[Metric, Estimate] = {}
    for k, (raw_rate, rate, ratio) in _RANKED.items():
        if by_item.items > k and len(users):
            raw, kept = hits(by_item.better, by_item.ties, k), hits(by_sid.better, by_sid.ties, k)
            figures[raw_rate] = user_mean(raw, users)
            figures[rate] = user_mean(kept, users)
            figures[ratio] = user_ratio(kept, raw, users)
    return figures


def separation(judged: Judged, pairs: int, scores: Mapping[str, Score], seed: int) -> dict[Metric, Estimate]:
    """AUC of several scores: pairs against the same left items with other partners.

    Args:
        judged: items and pairs.
        pairs: at most so many of the pairs are scored, those with the lowest keys.
        scores: name in the metric -> score [n] of left rows [n] and right rows [n].
        seed: of the permutation. Partners are uniform over the items, or the right items of the pairs permuted, so that
            popularity alone is worth .5. One that is the left item itself is left out.
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
    """Rows of items -> their rows of the decode table of one level."""
    return lambda rows: table[code[rows]]
