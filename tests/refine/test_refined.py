"""Passes over a catalogue on Spark: better for items that nobody has seen, the same for any partitioning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pipeline.catalogues import Rows, clustered, settings, write
from pipeline.nights import command

from drq_spark.config import load_config
from drq_spark.refine import step
from drq_spark.refine.corpus_sums import Steps
from drq_spark.refine.step import Judge, corpus_sums, refined
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import load_tokenizer, tokenizer_id
from drq_spark.train.contract import TrainingData

RNG = np.random.default_rng(2)
ITEMS = RNG.normal(size=(500, 5)).astype(np.float32)
BOOKS = tuple(RNG.normal(size=(8, 5)).astype(np.float32) for _ in range(2))
TOKENIZER = Tokenizer("rq_kmeans", 5, "none", BOOKS, latent_rms=(1.0,) * 2, tables=BOOKS)


def frame(spark, parts):
    rows = [(f"i{i}", row.tolist()) for i, row in enumerate(ITEMS)]
    return spark.createDataFrame(rows, "item_id string, embedding array<float>").repartition(parts)


@pytest.mark.parametrize("parts", [1, 3, 16])
def test_sums_are_the_same_to_the_bit_for_any_partitioning(spark, parts):
    steps = Steps.of(4.0, 5, 500)
    found, once = (corpus_sums(frame(spark, n), TOKENIZER, steps) for n in (parts, 2))
    assert found.square == once.square
    assert found.items == 500
    for name in ("counts", "latent", "pairs"):
        for mine, theirs in zip(getattr(found, name), getattr(once, name), strict=True):
            np.testing.assert_array_equal(np.array(mine), np.array(theirs))


class Told:
    """As much of a run as `refined` asks for."""

    def __init__(self, passes):
        self.config = load_config(options={"train.refine": passes})
        self.watcher, self.shown = self, []

    def progress(self, stage, done, total, **figures):
        self.shown.append(figures["unseen_relative_mse"])

    def note(self, text):
        pass


class Items:
    """As much of a catalogue."""

    def __init__(self, df):
        self.df, self.profile = df, self
        self.ids = df.count()


def judge(last_key=None):
    return Judge(TrainingData(ITEMS[:120], 60, "f"), last_key)


def test_each_pass_lowers_the_error_of_unseen_items_or_is_the_last(spark):
    run = Told(6)
    better = refined(run, Items(frame(spark, 3)), TOKENIZER, judge())
    told = better.training["refined"]["held_out_relative_mse"]
    assert told == sorted(told, reverse=True)
    assert len(told) == better.training["refined"]["passes"] + 1
    assert judge().error(better) == told[-1]
    assert told[-1] < 0.8 * told[0]
    assert tokenizer_id(better) == tokenizer_id(refined(Told(6), Items(frame(spark, 7)), TOKENIZER, judge()))


def unevenness(tokenizer):
    """The largest share of one code over an even share, on the worse level, of the codes of all items."""
    return max(np.bincount(codes, minlength=8).max() * 8 / len(ITEMS) for codes in tokenizer.codes(ITEMS).T)


def test_prices_follow_the_books(spark, monkeypatch):
    """Under the prices of other books some codes are used far more than others, and fewer passes better anything."""
    random = np.random.default_rng(4)
    priced = replace(TOKENIZER, prices=tuple(random.random(8).astype(np.float32) for _ in range(2)))
    better = refined(Told(12), Items(frame(spark, 3)), priced, judge())
    assert better.training["refined"]["passes"] > 3
    assert unevenness(better) < 0.8 * unevenness(priced)
    again = refined(Told(12), Items(frame(spark, 7)), priced, judge())
    assert tokenizer_id(better) == tokenizer_id(again)
    monkeypatch.setattr(step, "repriced", lambda tokenizer, *_: tokenizer)
    assert unevenness(refined(Told(12), Items(frame(spark, 3)), priced, judge())) > 1.2 * unevenness(better)


def test_the_first_pass_leaves_books_and_prices(spark):
    priced = replace(TOKENIZER, prices=tuple(RNG.random(8).astype(np.float32) for _ in range(2)))
    better = refined(Told(1), Items(frame(spark, 3)), priced, judge())
    assert judge().error(better) < judge().error(priced)
    for name in ("codebooks", "prices"):
        for mine, theirs in zip(getattr(better, name), getattr(priced, name), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_items_that_judge_are_in_no_sum(spark):
    left = refined(Told(1), Items(frame(spark, 2)), TOKENIZER, judge(last_key=2**63 - 1))
    assert left.training["refined"]["passes"] == 0
    np.testing.assert_array_equal(left.codebooks[0], BOOKS[0])


def test_a_run_says_how_much_it_gained(spark, tmp_path):
    rows = clustered(400, seed=1)
    items = write(Rows(tuple(f"i{i}" for i in range(400)), tuple(row.tolist() for row in rows)), tmp_path / "items")
    arguments = ["--items", items, "--out", str(tmp_path / "out"), "--tokenizer", "rq_kmeans", "--levels", "2"]
    more = settings("sample.size=150", "sample.holdout=0.3", "train.refine=2")
    assert command(["sample", *arguments, "--codes", "8", *more])[0] == 0
    code, said, _ = command(["train", "--out", str(tmp_path / "out")])
    assert code == 0
    (folder,) = (tmp_path / "out" / "tokenizers").iterdir()
    told = load_tokenizer(str(folder)).training["refined"]
    assert f"unseen relative MSE {told['held_out_relative_mse'][0]:.4f}" in " ".join(said.split())
