"""Behaviour with a known cause, in the codes of items, and behaviour with none."""

from __future__ import annotations

import numpy as np

from drq_spark.arrays import F64, I32
from drq_spark.formulas.estimates import pair_auc
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Candidates, Questions, Sequences
from drq_spark.probe.model_contract import Effort, FittedRanker

GROUPS, EACH = 6, 8  # items of one first code, and their number
ITEMS = GROUPS * EACH
EFFORT = Effort(seed=1, epochs=6, batch_size=64, learning_rate=0.01, width=32, history=10)
QUICK = Effort(seed=1, epochs=1, batch_size=64, learning_rate=0.01, width=32, history=10)


def candidates(trained: I32) -> Candidates:
    """Items of `GROUPS` first codes; embeddings are the first code and noise, the attribute is whether it is even."""
    rng = np.random.default_rng(5)
    codes = np.stack([np.arange(ITEMS) // EACH, np.arange(ITEMS) % EACH], axis=1).astype(np.int32)
    x = np.eye(GROUPS)[codes[:, 0]] + rng.normal(0, 0.2, (ITEMS, GROUPS))
    attributes = (codes[:, :1] % 2 + 1).astype(np.int32)
    events = np.bincount(trained, minlength=ITEMS)
    return Candidates(x.astype(np.float32), codes, (GROUPS, EACH), np.zeros(ITEMS, np.int64), attributes, (3,), events)


def chains(seed: int = 0, users: int = 240, length: int = 12, strides: int = 1) -> I32:
    """Users [u, length] whose next item has the first code after that of the last item, but for one in eight.

    Over ten items every code is there about as often: a mean of the history does not tell which one is next. With two
    strides every other user goes to the code after the next, and so stays with even ones or with odd ones.
    """
    rng = np.random.default_rng(seed)
    stride = 1 + np.arange(users) % strides
    groups = np.zeros((users, length), np.int64)
    groups[:, 0] = rng.integers(0, GROUPS, users)
    for step in range(1, length):
        any_group = rng.integers(0, GROUPS, users)
        groups[:, step] = np.where(rng.random(users) < 1 / 8, any_group, (groups[:, step - 1] + stride) % GROUPS)
    return (groups * EACH + rng.integers(0, EACH, groups.shape)).astype(np.int32)


def meaningless(seed: int = 0, users: int = 240, length: int = 12) -> I32:
    """Users [u, length] with any item at any place."""
    return np.random.default_rng(seed).integers(0, ITEMS, (users, length)).astype(np.int32)


def behaviour(sequences: I32, others: int = 5, history: int = 10) -> BehaviourData:
    """All but the last two events of each user are for training; the last is asked in the test."""
    body = sequences[:, :-2]
    starts = np.arange(len(body) + 1, dtype=np.int64) * body.shape[1]
    training = Sequences(starts, body.ravel())
    asked = [_questions(sequences[:, :end], others, history) for end in (-1, sequences.shape[1])]
    return BehaviourData(candidates(training.items), training, *asked)


def auc(ranker: FittedRanker, questions: Questions) -> float:
    """AUC of the items that came against those that did not."""
    scores = scored(ranker, questions)
    return pair_auc(scores[:, 0], scores[:, 1:].ravel())


def scored(ranker: FittedRanker, questions: Questions) -> F64:
    """Scores [q, 1 + C], of the item that came first."""
    shown = np.concatenate([questions.target[:, None], questions.others], axis=1)
    return ranker.scores(questions.history, shown).astype(np.float64)


def _questions(sequences: I32, others: int, history: int) -> Questions:
    rng = np.random.default_rng(9)
    target = sequences[:, -1]
    drawn = (target[:, None] + rng.integers(1, ITEMS, (len(target), others))) % ITEMS  # any but the target
    padded = np.full((len(target), history), NO_ITEM, np.int32)
    known = sequences[:, :-1][:, -history:]
    padded[:, history - known.shape[1] :] = known
    return Questions(padded, target, drawn.astype(np.int32), np.arange(len(target)))
