"""The table of kinds: what it names is there, and one entry is all that a new kind needs beside its class."""

from __future__ import annotations

import numpy as np
import pytest

from drq_spark.compare.trials import settings_of
from drq_spark.config import Config, Train, load_config
from drq_spark.errors import ConfigError
from drq_spark.kinds import KINDS, Kind, kind_of
from drq_spark.progress import Progress
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.latent_unit import effective_rms
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import train_tokenizer
from drq_spark.train.registry import trainer


class RandomBooks:
    """Rows of the sample at random as codewords of the first level, and ever smaller noise after it."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        return 4 * rows * dim

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        rng = np.random.default_rng(config.seed)
        first, *others = config.tokenizer.codebook_sizes
        dim = data.fit.shape[1]
        books = [rng.choice(data.fit, first, replace=False)]
        books += [(rng.normal(size=(size, dim)) / 2**level).astype(np.float32) for level, size in enumerate(others, 2)]
        return Tokenizer(
            kind=config.tokenizer.name,
            dim=dim,
            normalize=config.items.normalize,
            codebooks=tuple(books),
            beam=config.tokenizer.beam_width,
            latent_rms=effective_rms(data.fit, [None] * len(books)),
        )


@pytest.fixture
def one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one entry of a new kind."""
    monkeypatch.setitem(KINDS, "random_books", Kind(f"{__name__}:RandomBooks", frozenset(), beam=3))


@pytest.mark.usefixtures("one_more")
def test_a_kind_is_one_class_and_one_entry() -> None:
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    config = load_config(settings=["tokenizer.name=random_books", "tokenizer.codes=[8, 4]", "tokenizer.levels=2"])
    tokenizer = train_tokenizer(Sample(x, "abc"), config)
    assert (tokenizer.kind, tokenizer.codebook_sizes, tokenizer.beam) == ("random_books", (8, 4), 3)
    words = tokenizer.codebooks[0]
    assert np.array_equal(tokenizer.encode(words).codes[:, 0], np.arange(8))
    assert set(tokenizer.training["settings"]["train"]) == {"device", "threads"}
    assert "held_out_relative_mse" in tokenizer.training
    assert not config.trains_on_events
    assert settings_of(config, "random_books", 1).tokenizer.beam_width == 3


@pytest.mark.usefixtures("one_more")
def test_a_new_kind_is_known_where_a_name_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"'random_book': did you mean 'random_books'\? Known: drq, .*random_books$"):
        load_config(settings=["tokenizer.name=random_book"])


def test_an_unknown_kind_is_refused_with_the_nearest_and_all_others() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(settings=["tokenizer.name=rq_kmean"])
    assert str(refused.value) == (
        "tokenizer.name: no tokenizer is called 'rq_kmean': did you mean 'rq_kmeans'? "
        "Known: drq, rq_kmeans, rq_vae, rqp_vae, drq_vae, drq_vae_cl"
    )


@pytest.mark.parametrize("name", KINDS)
def test_what_an_entry_names_is_there(name: str) -> None:
    kind = kind_of(name)
    assert trainer(name).memory_bytes(1000, 8, load_config(options={"tokenizer.name": name})) > 0
    assert kind.sections <= set(Train.model_fields)
    assert kind.dataset_books or (kind.balance, kind.beam) == (0, 1)


@pytest.mark.parametrize(
    ("events", "given", "used"), [("unused", True, False), ("used", True, True), ("used", False, False)]
)
def test_events_go_to_the_kinds_that_learn_from_them(
    monkeypatch: pytest.MonkeyPatch, events: str, given: bool, used: bool
) -> None:
    monkeypatch.setitem(KINDS, "drq", Kind("nowhere:Nothing", frozenset(), events=events))  # type: ignore[arg-type]
    assert load_config(options={"events.path": "events"} if given else {}).trains_on_events is used
