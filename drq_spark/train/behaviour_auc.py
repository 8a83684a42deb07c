"""How well vectors of items tell what users do: held-out pairs against other partners."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from drq_spark.arrays import F32, F64, I64
from drq_spark.formulas.estimates import centred_cosines, pair_auc
from drq_spark.train.contract import TrainingPairs

_JUDGED_PAIRS = 200_000  # more do not change the third digit


def held_out_auc(vectors: Mapping[str, F32 | F64], behaviour: TrainingPairs, seed: int) -> dict[str, dict[str, float]]:
    """`behaviour_auc` of the held-out users for several kinds of vectors, plain JSON.

    Args:
        vectors: Name -> [m, d], a vector for each row of `behaviour.prepared`.
        behaviour: The pairs.
        seed: Seed of the partners, which are the same for every kind.

    Returns:
        The AUC by name, and by name + "_unseen_items" for the pairs with an item that training did not see. What has
        no pairs is left out.
    """
    pairs = behaviour.held_out_pairs
    parts = {"": pairs, "_unseen_items": pairs[behaviour.held_out_items[pairs].any(axis=1)]}
    figures = {
        name + part: behaviour_auc(kind, chosen, seed)
        for part, chosen in parts.items()
        for name, kind in vectors.items()
    }
    return {name: auc for name, auc in figures.items() if auc}


def behaviour_auc(vectors: F32 | F64, pairs: I64, seed: int) -> dict[str, float]:
    """AUC of the cosine, all vectors mean-centred: pairs against the same left items with partners at random.

    Args:
        vectors: [m, d], one for each item, for example its embedding or the sum of its decode table rows.
        pairs: int64 [p, 2], rows of `vectors`, the ends different; at most 200,000 of them, by seed, are judged.
        seed: Seed of the partners. One that happens to be the left item itself is left out.

    Returns:
        "uniform": partners uniform over the items. "popularity": partners drawn like the right ends of the pairs, so
        that popularity alone is worth .5. Empty where nothing can be compared.
    """
    rng = np.random.default_rng(seed)
    judged = pairs[rng.permutation(len(pairs))[:_JUDGED_PAIRS]]
    left, right = judged.T
    partners = {"uniform": rng.integers(0, len(vectors), len(left)), "popularity": rng.permutation(right)}
    parts = [(vectors.__getitem__, vectors.mean(axis=0, dtype=np.float64))]
    positive = centred_cosines(parts, left, right)
    auc = {}
    for name, partner in partners.items():
        other = partner != left
        if other.any():
            auc[name] = pair_auc(positive, centred_cosines(parts, left[other], partner[other]))
    return auc
