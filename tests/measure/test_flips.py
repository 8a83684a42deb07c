"""The distributed perturbation test against a slow local one, for several partitionings; items at risk."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from measure import slow_perturbation as slow
from pyspark.sql import DataFrame, SparkSession
from tokenizer.samples import behaving, full, plain

from drq_spark.config import load_config
from drq_spark.measure.perturbation.flips import Perturbed, perturbation
from drq_spark.measure.subject import Subject
from drq_spark.schemas import CODE_CONFUSION
from drq_spark.staging import Staging
from drq_spark.tokenizer import Tokenizer

ETAS, RHOS, SEED = (0.2, 1.0), (0.3,), 5
PARTITIONS = (1, 3, 7)
BAD = {"null": None, "short": [1.0], "nan": [math.nan] * 6}


class Catalogue:
    """Items with embeddings and exposure, bad rows among them, and a second version of some."""

    def __init__(self, tokenizer: Tokenizer, rows: int, *, exposed: bool = True) -> None:
        random = np.random.default_rng(11)
        x = random.normal(size=(rows, tokenizer.dim)).astype(np.float32)
        ids = [f"item {number}" for number in range(rows)]
        self.tokenizer = tokenizer
        self.vectors = dict(zip(ids, x, strict=True))
        self.codes = dict(zip(ids, tokenizer.encode(x).codes.tolist(), strict=True))
        shown = random.integers(0, 9, size=rows) / 2  # sums of halves and of quarters are exact
        self.exposure = dict(zip(ids, shown.tolist(), strict=True)) if exposed else None
        moved = x + random.normal(size=x.shape).astype(np.float32) * (np.arange(rows) % 3 == 0)[:, None]
        self.after = {item: row for number, (item, row) in enumerate(zip(ids, moved, strict=True)) if number % 5}

    def subject(self, spark: SparkSession, staging: Any, partitions: int, perturbed_items: int = 1000) -> Subject:
        shown = self.exposure or {}
        sids = [
            (item, *self.place(row, codes), shown.get(item)) for row, (item, codes) in enumerate(self.codes.items())
        ]
        after = [(item, row.tolist()) for item, row in self.after.items()] + [("unknown", [1.0] * 6), ("item 0", None)]
        items = [(item, row.tolist()) for item, row in self.vectors.items()] + list(BAD.items())
        options = {"seed": SEED, "measure.perturbed_items": perturbed_items, "measure.etas": ETAS, "measure.rhos": RHOS,
                   "measure.headline_eta": 1.0}  # fmt: skip
        embedded, coded = (
            "item_id string, embedding array<float>",
            "item_id string, codes array<int>, moved_from bigint, exposure double",
        )
        return Subject(
            sids=spark.createDataFrame(sids, coded).repartition(partitions),
            codebook_sizes=self.tokenizer.codebook_sizes,
            id_type="string",
            config=load_config(options=options),
            staging=Staging(str(staging)),
            tokenizer=self.tokenizer,
            dim=self.tokenizer.dim,
            items=spark.createDataFrame(items, embedded).repartition(partitions),
            after=spark.createDataFrame(after, embedded).repartition(partitions),
        )

    def place(self, row: int, codes: list[int]) -> tuple[list[int], int | None]:
        """Codes of an item, every tenth of which was moved from its own: that is no flip."""
        if row % 10:
            return codes, None
        elsewhere = [*codes[:-1], (codes[-1] + 1) % self.tokenizer.codebook_sizes[-1]]
        return elsewhere, int(self.tokenizer.keys(np.array([codes]))[0])

    def keys(self, spark: SparkSession) -> dict[str, tuple[int, int]]:
        """item -> the hash that its noise is made of, and the hash that it is drawn by."""
        ids = spark.createDataFrame([(item,) for item in self.vectors], "item_id string")
        both = [f"xxhash64('{purpose}', item_id, {SEED})" for purpose in ("noise", "perturbation")]
        hashed = ids.selectExpr("item_id", *both)
        return {row[0]: (row[1], row[2]) for row in hashed.collect()}

    def expected(self, spark: SparkSession, share: float = 1.0) -> list[slow.Flip]:
        keys = self.keys(spark)
        vectors = {item: row for item, row in self.vectors.items() if (keys[item][1] % 2**64) / 2**64 < share}
        noise = {item: key for item, (key, _) in keys.items()}
        return list(slow.flips(self.tokenizer, vectors, noise, ETAS, RHOS, self.after))


def values(found: Perturbed) -> dict[Any, float]:
    figures = {(f.metric, f.level, f.weighting, f.ruler, f.eta): f.value for f in found.figures}
    assert len(figures) == len(found.figures)
    return figures


def pairs(table: DataFrame) -> dict[Any, int]:
    rows = {(r.level, r.ruler, r.eta, r.code, r.other): r["items"] for r in table.collect()}
    assert len(rows) == table.count()
    return rows


KINDS = {
    "greedy": plain(),
    "beam": plain(beam=3, normalize="l2"),
    "encoder, prices, l2": full(),
    "weights, prices, beam": behaving(dim=6),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exposed", [True, False])
def test_equals_a_slow_local_program(spark, tmp_path, kind, exposed):
    catalogue = Catalogue(KINDS[kind], 80, exposed=exposed)
    found = perturbation(catalogue.subject(spark, tmp_path, 3))
    flips = catalogue.expected(spark)
    expected = slow.rates(flips, dict.fromkeys(catalogue.vectors, 1), "items")
    if catalogue.exposure is not None:
        expected |= slow.rates(flips, catalogue.exposure, "exposure")
    assert values(found) == pytest.approx(expected, rel=1e-12)
    assert {key for key in expected if key[3] == "after"}
    assert any(0 < value < 1 for value in expected.values())
    assert pairs(found.confusion) == slow.confusion(flips)


def test_partitions_change_nothing_and_only_drawn_items_are_perturbed(spark, tmp_path):
    catalogue = Catalogue(plain(), 260)
    flips = catalogue.expected(spark, share=100 / 260)
    drawn = {item for _, _, item, _, _ in flips}
    assert 70 < len(drawn) < 130
    expected = slow.rates(flips, dict.fromkeys(drawn, 1), "items") | slow.rates(flips, catalogue.exposure, "exposure")
    for partitions in PARTITIONS:
        found = perturbation(catalogue.subject(spark, tmp_path, partitions, perturbed_items=100))
        assert values(found) == pytest.approx(expected, rel=1e-12), partitions
        assert pairs(found.confusion) == slow.confusion(flips), partitions
    errors = {(f.ruler, f.metric, f.level, f.weighting): f for f in found.figures if f.eta in (1.0, None)}
    figure, moved = errors["latent", "flip_rate", 1, "items"], errors["after", "flip_rate", 1, "items"]
    n = len(drawn)
    assert figure.standard_error == pytest.approx(math.sqrt(figure.value * (1 - figure.value) / (n - 1)))
    n = sum(ruler == "after" for ruler, *_ in flips)
    binomial = math.sqrt(moved.value * (1 - moved.value) / (n - 1))
    assert moved.standard_error == pytest.approx(binomial * math.sqrt(1 - 100 / 260))


def test_an_unchanged_second_version_flips_nothing(spark, tmp_path):
    """Guarantee: codes do not depend on batches and partitions, so what is encoded again has the codes of the table."""
    for partitions in PARTITIONS:
        catalogue = Catalogue(full(), 120)
        catalogue.after = catalogue.vectors
        subject = catalogue.subject(spark, tmp_path, partitions)
        after = [f for f in perturbation(replace(subject, after=subject.items)).figures if f.ruler == "after"]
        assert {(f.metric, f.level, f.value) for f in after} == {
            ("sid_survival", 0, 1.0), ("flip_rate", 1, 0.0), ("flip_rate", 2, 0.0), ("flip_rate", 3, 0.0),
        }  # fmt: skip
        assert all(f.standard_error is None and f.eta is None for f in after)


def test_without_a_second_version_there_is_no_such_ruler(spark, tmp_path):
    subject = replace(Catalogue(plain(), 30).subject(spark, tmp_path, 2), after=None)
    assert {f.ruler for f in perturbation(subject).figures} == {"latent", "input"}


def test_packed_embeddings_and_numbers_as_ids(spark, tmp_path):
    """Binary columns as they come from the catalogue; the number 7 and the text 7 have the same noise."""
    catalogue = Catalogue(plain(), 60)
    subject = catalogue.subject(spark, tmp_path, 2)
    text = {item: item.removeprefix("item ") for item in catalogue.vectors}
    packed = [(int(text[item]), row.astype("<f4").tobytes()) for item, row in catalogue.vectors.items()]
    sids = [(int(text[item]), codes, None, 1.0) for item, codes in catalogue.codes.items()]
    numbered = replace(
        subject,
        after=None,
        items=spark.createDataFrame(packed, "item_id bigint, embedding binary"),
        sids=spark.createDataFrame(sids, "item_id bigint, codes array<int>, moved_from bigint, exposure double"),
    )
    catalogue.vectors = {text[item]: row for item, row in catalogue.vectors.items()}
    catalogue.after = {}
    flips = catalogue.expected(spark)
    found = values(perturbation(numbered))
    assert {k: v for k, v in found.items() if k[2] == "items"} == pytest.approx(
        slow.rates(flips, dict.fromkeys(text.values(), 1), "items")
    )


def test_the_table_keeps_the_most_frequent_pairs_ties_by_code(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("drq_spark.measure.perturbation.flips._MOST_PAIRS", 3)
    catalogue = Catalogue(plain(), 80)
    found = perturbation(catalogue.subject(spark, tmp_path, 3)).confusion
    names = CODE_CONFUSION.column_names()
    assert found.columns == [name for name in names if name not in ("run_id", "tokenizer_id")]
    whole = slow.confusion(catalogue.expected(spark))
    expected = {}
    for group in {key[:3] for key in whole}:
        ranked = sorted((-items, key[3:], key) for key, items in whole.items() if key[:3] == group)
        expected |= {key: whole[key] for _, _, key in ranked[:3]}
    assert pairs(found) == expected


def test_needs_a_tokenizer_and_embeddings(spark, tmp_path):
    subject = Catalogue(plain(), 20).subject(spark, tmp_path, 1)
    for lacking in (replace(subject, tokenizer=None), replace(subject, items=None)):
        with pytest.raises(ValueError, match="tokenizer and the embeddings"):
            perturbation(lacking)
