"""How much a generator has to guess at each code of a SID, with or without the attributes of the item in front."""

from __future__ import annotations

import numpy as np

from drq_spark.formulas.estimates import Estimate, user_mean
from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.generator import FittedGenerator


def code_bits(fitted: FittedGenerator, asked: Questions) -> list[Estimate]:
    """Cross entropy of each code on questions, in bits, with its error by users: the entropy, and what is not learned.

    H(s_k | s_<k, a) for a generator that has the attributes a in front, H(s_k | s_<k) for one that has not: by how much
    the first is lower is UniRec's measure of what they are worth (Wang et al. 2026, arXiv 2604.12234).

    Args:
        fitted: The generator.
        asked: Questions that it has not learned from.
    """
    bits = fitted.sid_surprises(asked.history, asked.target).T / np.log(2)
    return [user_mean(row.astype(np.float64), asked.users) for row in bits]
