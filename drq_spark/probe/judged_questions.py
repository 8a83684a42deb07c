"""The part of the validation questions that settings and the end of training are chosen by."""

from __future__ import annotations

import numpy as np

from drq_spark.probe.behaviour_data import Questions

_MOST = 4096


def some_questions(validation: Questions, seed: int) -> Questions:
    """At most 4,096 of the questions, drawn by the seed: enough to tell two settings apart, and soon answered."""
    if len(validation) <= _MOST:
        return validation
    rows = np.sort(np.random.default_rng(seed).permutation(len(validation))[:_MOST])
    return Questions(validation.history[rows], validation.target[rows], validation.others[rows], validation.users[rows])
