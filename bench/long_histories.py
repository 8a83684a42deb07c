"""Quality and cost of rankers against the length of the history that they are given, on made-up users.

    python bench/long_histories.py [--lengths 50 200 500 1000 2000] [--seed 0]

Each user has 20 tastes among 128 groups of items, which 35 events in 100 are of; 40 in 100 are of a passing
interest that changes every 20 events or so, which the last events tell; the rest is chance. So tastes and what was a
passing interest are told apart by long histories alone. Items have two codes, the first is the group.

`counts` knows that and says what there is to find: the share of a group in the history plus a weight times its share in
the last 20 events, the weight chosen on validation questions. All models are trained once on windows of 200 events: DIN
on 24,000 questions with the events before them, MIMN and HPMN on every step of the windows. Then they are asked with
histories of each length; states of MIMN and HPMN are moved through them before. Cost is CPU time of one thread: of an
answer about 20 items, and of moving a state by one event.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from drq_spark.arrays import F32, I32
from drq_spark.formulas.estimates import pair_auc, user_auc
from drq_spark.probe.behaviour_data import BehaviourData, Candidates, Questions, Sequences
from drq_spark.probe.din import din
from drq_spark.probe.hpmn import hpmn
from drq_spark.probe.item_vectors import SidVectors
from drq_spark.probe.mimn import mimn
from drq_spark.probe.model_contract import Effort, FittedRanker
from drq_spark.probe.ranker import NEGATIVES, FittedNetwork, balanced_loss
from drq_spark.probe.ranker_training import STREAM, train_until_worse
from drq_spark.probe.ranking_examples import others_than
from drq_spark.probe.user_memory import FittedMemory
from drq_spark.progress import SILENT
from drq_spark.train.runtime import seeded, torch_threads

GROUPS, EACH, TASTES = 128, 8, 20
ITEMS = GROUPS * EACH
TASTE, PASSING, CHANGE = 0.35, 0.4, 1 / 20
TRAINED, ASKED, LIFE = 160, 1_200, 2_001  # users that train, users that are asked, events of each
WINDOW, EXAMPLES, OTHERS = 200, 24_000, 20
_TIMED = 50  # answers


def lives(users: int, seed: int) -> I32:
    """Events int32 [users, LIFE]."""
    rng = np.random.default_rng((seed, users))
    tastes = np.argsort(rng.random((users, GROUPS)), axis=1)[:, :TASTES]
    taste = np.take_along_axis(tastes, rng.integers(0, TASTES, (users, LIFE)), axis=1)
    passing = rng.integers(0, GROUPS, (users, LIFE))
    for step in range(1, LIFE):
        stays = rng.random(users) >= CHANGE
        passing[stays, step] = passing[stays, step - 1]
    kind = rng.random((users, LIFE))
    anything = rng.integers(0, GROUPS, (users, LIFE))
    groups = np.where(kind < TASTE, taste, np.where(kind < TASTE + PASSING, passing, anything))
    return (groups * EACH + rng.integers(0, EACH, groups.shape)).astype(np.int32)


def asked(events: I32, length: int, seed: int) -> Questions:
    """What comes last, after the `length` events before it."""
    rng = np.random.default_rng((seed, 7))
    target = events[:, -1]
    others = (target[:, None] + rng.integers(1, ITEMS, (len(target), OTHERS))) % ITEMS
    return Questions(events[:, -1 - length : -1], target, others.astype(np.int32), np.arange(len(target)))


def data_of(length: int, seed: int) -> BehaviourData:
    """Users that train, and questions to others with a history of a length."""
    trained = lives(TRAINED, seed)
    codes = np.stack([np.arange(ITEMS) // EACH, np.arange(ITEMS) % EACH], axis=1).astype(np.int32)
    candidates = Candidates(
        x=np.zeros((ITEMS, 1), np.float32),
        codes=codes,
        codebook_sizes=(GROUPS, EACH),
        suffix=np.zeros(ITEMS, np.int64),
        attributes=np.zeros((ITEMS, 0), np.int32),
        attribute_sizes=(),
        trained_events=np.bincount(trained.ravel(), minlength=ITEMS).astype(np.int64),
    )
    starts = np.arange(TRAINED + 1, dtype=np.int64) * LIFE
    others = lives(ASKED, seed + 1)
    validation, test = (asked(half, length, seed) for half in (others[: ASKED // 4], others[ASKED // 4 :]))
    return BehaviourData(candidates, Sequences(starts, trained.ravel()), validation, test)


def fitted_din(data: BehaviourData, effort: Effort) -> FittedNetwork:
    """DIN on `EXAMPLES` questions with a whole window before each; that of every event would take hours."""
    lived = data.training.items.reshape(TRAINED, LIFE)
    rng = np.random.default_rng((effort.seed, WINDOW))
    user, place = rng.integers(0, TRAINED, EXAMPLES), rng.integers(WINDOW, LIFE, EXAMPLES)
    steps = -(-EXAMPLES // effort.batch_size)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for rows in np.array_split(rng.permutation(EXAMPLES), steps):
            history = lived[user[rows, None], place[rows, None] - np.arange(WINDOW, 0, -1)]
            target = lived[user[rows], place[rows]]
            shown = np.column_stack([target, others_than(target, NEGATIVES, data.training.items, rng)])
            yield torch.from_numpy(history.astype(np.int64)), torch.from_numpy(shown.astype(np.int64))

    with seeded(effort.seed, STREAM):
        network = din(SidVectors).build(data.candidates, effort)
        train_until_worse(
            network,
            batches,
            lambda batch: balanced_loss(network(*batch).logits).mean(),
            FittedNetwork(network),
            data.validation,
            steps,
            effort,
            SILENT.progress,
        )
    return FittedNetwork(network)


def shown_of(questions: Questions) -> I32:
    """Items [q, 1 + OTHERS], the one that came first."""
    return np.column_stack([questions.target, questions.others]).astype(np.int32)


def told(name: str, length: int, scores: F32, questions: Questions, costs: str) -> None:
    """A row of the table."""
    users = questions.users
    came, others = scores[:, 0].astype(np.float64), scores[:, 1:].astype(np.float64)
    found = user_auc(came, others.ravel(), users, np.repeat(users, OTHERS))
    print(f"| {name} | {length:,} | {found.value:.3f} ± {found.error:.3f} | {costs} |", flush=True)


def microseconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one go."""
    work()
    start = time.process_time()
    for _ in range(times):
        work()
    return 1e6 * (time.process_time() - start) / times


def answer_cost(ranker: FittedRanker, questions: Questions) -> float:
    """CPU microseconds of an answer to one user."""
    return microseconds(lambda: ranker.scores(questions.history[:1], shown_of(questions)[:1, 1:]), _TIMED)


def memory_rows(name: str, fitted: FittedMemory, length: int, questions: Questions) -> None:
    """The row of a memory, which is asked by its states alone."""
    state = fitted.update(fitted.start(len(questions)), questions.history)
    shown = shown_of(questions)
    answer = microseconds(lambda: fitted.state_scores(state[:1], shown[:1, 1:]), _TIMED)
    some = state[:64]
    event = microseconds(lambda: fitted.update(some, shown[:64, :10]), 5) / 640
    told(
        name,
        length,
        fitted.state_scores(state, shown),
        questions,
        f"{answer:,.0f} | {event:.1f} | {state.nbytes // len(state):,}",
    )


def counted(questions: Questions, weight: float) -> F32:
    """Scores [q, 1 + OTHERS] of `counts`."""
    groups, asked_groups = questions.history // EACH, shown_of(questions) // EACH
    found = np.zeros(asked_groups.shape, np.float32)
    for share, part in ((1.0, groups), (weight, groups[:, -20:])):
        rows = np.repeat(np.arange(len(part)), part.shape[1])
        seen = np.bincount(rows * GROUPS + part.ravel(), minlength=len(part) * GROUPS).reshape(-1, GROUPS)
        found += share * np.take_along_axis(seen, asked_groups, axis=1) / part.shape[1]
    return found


def counts_row(length: int, seed: int) -> None:
    """The row of what there is to find."""
    data = data_of(length, seed)

    def area(weight: float) -> float:
        scores = counted(data.validation, weight)
        return pair_auc(scores[:, 0], scores[:, 1:].ravel())

    best = max((0.0, 0.05, 0.1, 0.2, 0.5, 1.0), key=area)
    told("counts", length, counted(data.test, best), data.test, "| | ")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200, 500, 1000, 2000])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    with torch_threads(1):
        print("| model | events of the history | AUC | answer, µs | a new event, µs | bytes read |")
        print("|---|---|---|---|---|---|")
        for length in arguments.lengths:
            counts_row(length, arguments.seed)
        effort = Effort(seed=arguments.seed, epochs=5, batch_size=64, learning_rate=4e-3, history=WINDOW)
        for name, make in (("HPMN", hpmn), ("MIMN", mimn)):
            fitted = make(SidVectors).fit(data_of(WINDOW, arguments.seed), effort, SILENT.progress)
            for length in arguments.lengths:
                memory_rows(name, fitted, length, data_of(length, arguments.seed).test)
        ranker = fitted_din(data_of(WINDOW, arguments.seed), effort)
        for length in arguments.lengths:
            questions = data_of(length, arguments.seed).test
            scores = ranker.scores(questions.history, shown_of(questions))
            told("DIN", length, scores, questions, f"{answer_cost(ranker, questions):,.0f} | | {4 * length:,}")
    print(f"\n{time.process_time() - start:,.0f} s of one thread")


if __name__ == "__main__":
    main()
