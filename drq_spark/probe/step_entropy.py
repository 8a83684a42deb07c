"""How much less a generator has to guess at each code when it has named the attributes of the item first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from drq_spark.formulas.estimates import Estimate, user_mean
from drq_spark.probe.behaviour_data import Questions
from drq_spark.probe.generator import FittedGenerator


class StepEntropy(NamedTuple):
    """Cross entropy of one code on questions, in bits; what a model does not know yet is above the entropy.

    Attributes:
        level: Of the SID, from 0.
        without: H(s_k | s_<k) of a generator of SIDs alone.
        given: H(s_k | s_<k, a) of one that has the attributes in front.
        fall: The difference, with the error of a difference over the same users.
    """

    level: int
    without: Estimate
    given: Estimate
    fall: Estimate


def step_entropies(without: FittedGenerator, given: FittedGenerator, asked: Questions) -> list[StepEntropy]:
    """Entropy of each code without and with attributes in front, UniRec's measure (Wang et al. 2026, abstract).

    Args:
        without, given: Two generators that differ in their attributes only.
        asked: Questions that neither has learned from.
    """
    values = [model.sid_surprises(asked.history, asked.target).T / np.log(2) for model in (without, given)]
    return [
        StepEntropy(level, *(user_mean(row.astype(np.float64), asked.users) for row in (alone, told, alone - told)))
        for level, (alone, told) in enumerate(zip(*values, strict=True))
    ]
