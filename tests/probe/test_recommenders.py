"""What every recommender must do: find a rule that is there, and none that is not."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from probe.planted import ITEMS, TWINS, behaviour, candidates, questions

from drq_spark.errors import InputRefused
from drq_spark.formulas.hit_ranks import recall_at, target_ranks
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Sequences
from drq_spark.probe.generator import GeneratorParts, SidGenerator
from drq_spark.probe.item_knn import FittedItemKnn, ItemKnn
from drq_spark.probe.model_contract import Effort, FittedRecommender, Recommender
from drq_spark.probe.popularity import Popularity
from drq_spark.probe.sasrec import SasRec
from drq_spark.progress import SILENT
from drq_spark.train.runtime import torch_threads

EFFORT = Effort(epochs=12, batch_size=32, learning_rate=1e-2, width=16, history=6)
LEARNERS: dict[str, Recommender] = {
    "sasrec": SasRec(),
    "generator": SidGenerator(),
    "all parts": SidGenerator(GeneratorParts(attributes=True, collisions="popularity", task=True, summary=True)),
}
ALL: dict[str, Recommender] = {"popularity": Popularity(), "item-kNN": ItemKnn(), **LEARNERS}


def fitted(model: Recommender, data: BehaviourData, effort: Effort = EFFORT) -> FittedRecommender:
    with torch_threads(1):
        return model.fit(data, effort, SILENT.progress)


def recall(model: FittedRecommender, data: BehaviourData, k: int) -> float:
    ranks = target_ranks(model.best(data.test.history, k), data.test.target)
    return float(recall_at(ranks, k).mean())


def unreturning() -> BehaviourData:
    """Users who take 5 of the 60 items each, none of them twice."""
    items = np.stack([np.random.default_rng(user).permutation(ITEMS)[:5] for user in range(40)]).astype(np.int32)
    return BehaviourData(
        replace(candidates(), trained_events=np.bincount(items.ravel(), minlength=ITEMS)),
        Sequences(np.arange(41) * 5, items.ravel()),
        questions(items[:, :3], items[:, 3]),
        questions(items[:, :4], items[:, 4]),
    )


@pytest.fixture(scope="module")
def ruled():
    return behaviour(rule=True)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_find_the_rule(name, ruled):
    assert recall(fitted(LEARNERS[name], ruled), ruled, TWINS) > 0.9
    assert recall(fitted(Popularity(), ruled), ruled, TWINS) < 0.1


def test_neighbours_have_the_first_code(ruled):
    assert recall(fitted(ItemKnn(), ruled), ruled, ITEMS // 6) > 0.9
    assert recall(fitted(Popularity(), ruled), ruled, ITEMS // 6) < 0.3


@pytest.mark.parametrize("name", ALL)
def test_nobody_finds_a_rule_where_there_is_none(name):
    data = behaviour(rule=False)
    noise = np.sqrt(1 / 6 * 5 / 6 / len(data.test))  # every item is as likely: 10 of 60 are right by chance
    assert abs(recall(fitted(ALL[name], data, replace(EFFORT, epochs=4)), data, 10) - 1 / 6) < 3 * noise


@pytest.mark.parametrize("name", ALL)
def test_lists_are_of_items_once_and_the_same_after_pickling(name):
    data = unreturning()
    model = fitted(ALL[name], data, replace(EFFORT, epochs=1))
    again = pickle.loads(pickle.dumps(fitted(ALL[name], data, replace(EFFORT, epochs=1))))
    history = data.test.history
    listed = model.best(history, ITEMS)
    assert listed.dtype == np.int32
    np.testing.assert_array_equal(again.best(history, ITEMS), listed)
    for row, seen in zip(listed, history, strict=True):
        assert row[-4:].tolist() == [NO_ITEM] * 4  # users come back to nothing, so what they had is left out
        assert sorted(row[:-4]) == sorted(set(range(ITEMS)) - set(seen[seen != NO_ITEM].tolist()))
    np.testing.assert_array_equal(model.best(history[:, -4:], 3), listed[:, :3])  # wider histories say nothing more
    assert (model.best(np.full((1, 3), NO_ITEM, np.int32), 5) != NO_ITEM).all()


def test_popularity_counts():
    data = unreturning()
    events = data.candidates.trained_events
    listed = fitted(Popularity(), data).best(np.full((1, 1), NO_ITEM, np.int32), ITEMS)[0]
    assert listed.tolist() == sorted(range(ITEMS), key=lambda item: (-events[item], item))


def test_neighbours_against_loops():
    data = unreturning()
    x, history, decay = data.candidates.x, data.test.history[:5], 0.5
    model = FittedItemKnn(np.stack([row / np.linalg.norm(row) for row in x]), decay, 3, False)
    for row, listed in zip(history, model.best(history, 7), strict=True):
        query = sum(decay**since * x[item] / np.linalg.norm(x[item]) for since, item in enumerate(row[:-4:-1]))
        nearest = sorted(range(ITEMS), key=lambda item: -float(query @ x[item]) / np.linalg.norm(x[item]))
        assert listed.tolist() == [item for item in nearest if item not in row][:7]


def test_neighbours_look_back_as_far_as_it_helps():
    """What comes is the twin of the last item: what came before it only leads astray."""
    items = np.random.default_rng(0).integers(0, ITEMS, (60, 5)).astype(np.int32)
    asked = questions(items, items[:, -1] ^ 1)
    data = replace(unreturning(), validation=asked, test=asked)
    assert fitted(ItemKnn(), data).decay < 0.5


@pytest.mark.parametrize("name", ["sasrec", "generator"])
def test_surprise_is_that_of_a_chance(name, ruled):
    """Here every path of tokens is an item, so the chances of all items add up to 1 for the generator too."""
    model = fitted(LEARNERS[name], ruled, replace(EFFORT, epochs=1))
    history = np.repeat(ruled.test.history[:1], ITEMS, axis=0)
    chances = np.exp(-model.surprises(history, np.arange(ITEMS, dtype=np.int32)))
    assert chances.sum() == pytest.approx(1, abs=1e-4)
    assert model.best(history[:1], ITEMS)[0].tolist() == np.argsort(-chances).tolist()


def test_training_needs_a_step():
    data = replace(unreturning(), training=Sequences(np.arange(3), np.arange(2, dtype=np.int32)))
    with pytest.raises(InputRefused, match="two events"):
        fitted(SasRec(), data)
