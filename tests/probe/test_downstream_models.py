"""Every declared model can be made, and names stand for what they say."""

from __future__ import annotations

import pytest

from drq_spark.errors import ConfigError
from drq_spark.probe.downstream_models import GROUPS, MODELS, chosen


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_trained(name: str) -> None:
    assert callable(MODELS[name].trainer().fit)


def test_groups_name_models_that_there_are() -> None:
    for names in GROUPS.values():
        assert set(names) <= set(MODELS)


def test_a_model_is_chosen_once() -> None:
    assert chosen(["sasrec", "generator"]) == ("sasrec", "popularity", "item_knn", "tiger")


def test_an_unknown_name_is_refused_with_one_that_is_like_it() -> None:
    with pytest.raises(ConfigError, match="did you mean 'din_sid'"):
        chosen(["din_sids"])
