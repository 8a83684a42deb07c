"""How a run begins: with a tokenizer that it trains, with one that is named, or as a night after the published run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from runs_in_hand import DAY, state_of
from tokenizer.samples import plain

from drq_spark import origin
from drq_spark.config import canonical_json, load_config
from drq_spark.errors import ConfigError, InputRefused, Overtaken
from drq_spark.origin import Start, start_of, unchanged
from drq_spark.run_state import TRAINED, new_run
from drq_spark.schemas import LIVE
from drq_spark.store import Store
from drq_spark.tokenizer.artifact import save_tokenizer, tokenizer_id

TOKENIZER = replace(plain(sizes=(8, 5)), kind="rq_kmeans", normalize="l2")
IDENTITY = tokenizer_id(TOKENIZER)
OF_BASE = load_config(
    options={"tokenizer.name": "rq_kmeans", "tokenizer.levels": 2, "tokenizer.codes": [8, 5], "seed": 3,
             "items.normalize": "l2", "measure.etas": [0.5]}
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    made = Store(None, str(tmp_path))
    save_tokenizer(TOKENIZER, made.tokenizers)
    return made


@pytest.fixture
def followed(monkeypatch):
    """The run that readers follow, from now on; None for none."""

    def follow(state, channel=LIVE):
        monkeypatch.setattr(origin, "_followed", lambda store: state if store.channel == channel else None)
        return state

    return follow


@pytest.fixture
def base(followed):
    settings = canonical_json(OF_BASE.model_dump(mode="json"))
    return followed(state_of("base", tokenizer_id=IDENTITY, config=settings, id_type="bigint"))


def begun(base, **more):
    return Start(load_config(), base=base, **more)


def test_a_run_trains_unless_a_tokenizer_is_named(store, base):
    start = start_of(store, load_config(), DAY, night=False)
    assert (start.origin, start.tokenizer, start.base) == (TRAINED, None, None)


def test_the_first_night_trains(store, followed):
    followed(None)
    assert start_of(store, load_config(), DAY, night=True).origin == TRAINED


def test_a_night_has_tokenizer_and_settings_of_the_published_run(store, base):
    given = load_config(options={"tokenizer.codes": 64, "measure.etas": [0.5, 1.0], "nightly.keep_gone": 2})
    start = start_of(store, given, DAY, night=True)
    assert (start.origin.mode, start.origin.base_run_id, start.origin.tokenizer_id) == ("night", "base", IDENTITY)
    assert tokenizer_id(start.tokenizer) == IDENTITY
    assert (start.config.tokenizer, start.config.seed) == (OF_BASE.tokenizer, 3)
    assert start.config.items.normalize == "l2"
    assert (start.config.measure.etas, start.config.nightly.keep_gone) == ((0.5, 1.0), 2)
    assert start.notes == ("tokenizer: the settings of the published tokenizer count, not those given",)
    assert start_of(store, load_config(), DAY, night=True).notes == ()


def test_a_retraining_begins_at_the_published_run_and_takes_its_budget_as_given(store, base, followed):
    given = load_config(options={"tokenizer.codes": 64, "train.stability.budget": 0.03})
    start = start_of(store, given, DAY, night=True, retrain=True)
    assert (start.origin.mode, start.origin.base_run_id, start.origin.tokenizer_id) == ("retrained", "base", None)
    assert (start.tokenizer, start.base) == (None, base)
    assert (start.config.tokenizer, start.config.train.stability.budget) == (OF_BASE.tokenizer, 0.03)
    start.check(7, "bigint")  # another embedding model is what a retraining is for
    followed(None)
    assert start_of(store, given, DAY, night=True, retrain=True).origin == TRAINED


def test_a_retraining_trains_and_carries_nothing_over(base):
    state = replace(base, mode="retrained", base_run_id="before")
    assert (state.trains, state.carries_over, state.is_night) == (True, False, False)
    assert replace(state, mode="night").carries_over
    fresh = replace(state, run_id="fresh", base_run_id="base")
    assert unchanged(begun(state), fresh) is state
    assert unchanged(begun(base), fresh) is None
    assert unchanged(begun(state), replace(fresh, mode="trained")) is None


def test_a_night_before_the_published_one_is_refused(store, base):
    with pytest.raises(Overtaken, match="readers follow run base of 2026-01-01, later than this night's 2025-12-31"):
        start_of(store, load_config(), DAY - timedelta(days=1), night=True)


def test_a_folder_names_any_tokenizer_and_known_sids_are_carried_over_where_it_is_the_published_one(
    store, base, followed, tmp_path
):
    folder = str(tmp_path / "tokenizers" / IDENTITY)
    given = load_config(options={"tokenizer.source": folder})
    start = start_of(store, given, DAY, night=False)
    assert (start.origin.mode, start.origin.base_run_id) == ("given", "base")
    followed(replace(base, tokenizer_id="another"))
    start = start_of(Store(None, str(tmp_path / "elsewhere")), given, DAY, night=False)
    assert (start.origin.mode, start.origin.base_run_id, start.origin.tokenizer_id) == ("given", None, IDENTITY)
    assert (start.config.tokenizer.name, start.config.tokenizer.codebook_sizes) == ("rq_kmeans", (8, 5))
    assert (tmp_path / "elsewhere" / "tokenizers" / IDENTITY).is_dir()


def test_the_published_tokenizer_must_be_there(store, followed):
    followed(None)
    with pytest.raises(ConfigError, match="is published yet: let drq run train a tokenizer first"):
        start_of(store, load_config(options={"tokenizer.source": "published"}), DAY, night=False)


@pytest.mark.parametrize(
    ("dim", "id_type", "says"), [(7, "bigint", "have 7 numbers"), (6, "string", "use another --out")]
)
def test_another_catalogue_is_told(store, base, dim, id_type, says):
    start = start_of(store, load_config(), DAY, night=True)
    start.check(6, "bigint")
    with pytest.raises(InputRefused, match=says):
        start.check(dim, id_type)


def test_a_night_that_would_find_nothing_is_the_run_that_is_there(base):
    fresh = replace(base, run_id="fresh", mode="night", base_run_id="base")
    assert unchanged(begun(base), fresh) is base
    assert unchanged(begun(base), replace(fresh, input_fingerprint="other")) is None
    assert unchanged(begun(base), replace(fresh, config_fingerprint="other")) is None
    assert unchanged(begun(base), replace(fresh, mode="given")) is None
    assert unchanged(begun(None), fresh) is None


class TestChannels:
    """A channel has a pointer of its own; a new one begins where the readers of live are."""

    def test_a_new_channel_begins_at_live_and_is_not_done_with_what_live_has(self, store, base):
        for retrain in (False, True):
            start = start_of(store.in_channel("next"), load_config(), DAY, night=True, retrain=retrain)
            assert (start.base, start.branches) == (base, True)
        fresh = replace(base, run_id="fresh", mode="night", base_run_id="base")
        assert unchanged(begun(base, branches=True), fresh) is None
        start = start_of(store.in_channel("next"), load_config(), DAY, night=False)
        assert (start.origin, start.base, start.branches) == (TRAINED, None, False)

    def test_a_channel_with_a_run_of_its_own_goes_on_from_there_whatever_live_does(self, store, base, followed):
        followed(replace(base, run_id="own"), "next")
        start = start_of(store.in_channel("next"), load_config(), DAY, night=True)
        assert (start.base.run_id, start.branches) == ("own", False)
        assert start_of(store, load_config(), DAY, night=True).base is None
        with pytest.raises(Overtaken, match="readers follow run own"):
            start_of(store.in_channel("next"), load_config(), DAY - timedelta(days=1), night=True)

    def test_the_same_run_for_other_readers_is_another_run(self):
        made = [
            new_run(load_config(options={"store.channel": channel}), "content", DAY, DAY, 4, 2, "string")
            for channel in (LIVE, "next", "other")
        ]
        assert len({state.run_id for state in made}) == 3
        assert len({state.config_fingerprint for state in made}) == 1
        assert [state.channel for state in made] == [LIVE, "next", "other"]


def test_runs_of_another_origin_have_another_id(store, base):
    config, content = load_config(), ("content", DAY, DAY, 4, 2, "string")
    starts = [start_of(store, load_config(), DAY, night=night).origin for night in (False, True)]
    starts.append(start_of(store, load_config(options={"tokenizer.source": "published"}), DAY, night=False).origin)
    assert len({new_run(config, *content, start).run_id for start in starts}) == 3
