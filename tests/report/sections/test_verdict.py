"""What the page says about a run, by hand-made figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report.builder import build

from drq_spark.page.numbers import percent
from drq_spark.report.data import MetricRow
from drq_spark.report.sections.verdict import findings, verdict

BARE = replace(build(levels=1, items=1000), metrics=(), gate=())


def sentences(*rows: tuple) -> list[tuple[str, str]]:
    """Grade and text of every finding about these (metric, level, weighting, eta, value)."""
    figures = tuple(MetricRow(*row, ruler=None if row[3] is None else "latent") for row in rows)
    return [(found.grade, found.text) for found in findings(replace(BARE, metrics=figures))]


def test_a_level_that_loses_to_closeness():
    (found,) = sentences(("distribution", 1, "items", None, 0.88), ("geometry", 1, "items", 0.5, 0.466))
    assert found[0] == "fair"
    assert "uses 41 % of its capacity: 12 % lost to imbalance, 47 % to codewords too close." in found[1]


def test_a_level_that_loses_to_imbalance():
    (found,) = sentences(
        ("distribution", 1, "items", None, 0.2), ("geometry", 1, "items", 0.5, 0.9), ("dead_codes", 1, "items", None, 1)
    )
    assert found[0] == "poor"
    assert found[1].endswith("1 of 256 codes is never used.")


def test_a_good_level():
    rows = ("distribution", 1, "items", None, 0.9), ("geometry", 1, "items", 0.5, 1.0)
    assert sentences(*rows) == [
        ("good", "Level 1 uses 90 % of its capacity: 10 % lost to imbalance, 0 % to codewords too close.")
    ]


@pytest.mark.parametrize("kept", [0.001, 0.335, 0.5, 0.999])
@pytest.mark.parametrize("d", [0.9995, 0.755, 0.3349])
def test_the_three_parts_add_up_to_100(d, kept):
    import re

    (found,) = sentences(("distribution", 1, "items", None, d), ("geometry", 1, "items", 0.5, min(1.0, kept / d)))
    uses, uneven, close = (int(part) for part in re.findall(r"[<>]?(\d+) %", found[1]))
    assert abs(uses + uneven + close - 100) <= 1


def test_another_eta_is_not_the_headline():
    assert sentences(("distribution", 1, "items", None, 0.9), ("geometry", 1, "items", 1.0, 0.5)) == []


EXTERNALLY = replace(BARE, kind="external")


def test_sids_from_elsewhere_are_measured_and_not_judged():
    found = verdict(EXTERNALLY)
    assert (found.title, found.passed) == ("Measured", True)
    assert "not judged" in found.sentence


@pytest.mark.parametrize(("d", "grade"), [(0.9, "good"), (0.5, "fair"), (0.1, "poor")])
def test_without_codebooks_only_imbalance_is_known(d, grade):
    rows = (MetricRow("distribution", 1, "items", None, d), MetricRow("dead_codes", 1, "items", None, 3.0))
    (found,) = findings(replace(EXTERNALLY, metrics=rows))
    assert found.grade == grade
    assert found.text == (
        f"Level 1 loses {round(100 * (1 - d))} % of its capacity to imbalance. 3 of 256 codes are never used."
    )


@pytest.mark.parametrize(("surplus", "grade"), [(0.0, "good"), (0.05, "fair"), (0.3, "poor")])
def test_without_embeddings_exact_duplicates_are_not_known(surplus, grade):
    ((found, text),) = sentences(("duplicate_rate", 0, "items", None, surplus))
    assert found == grade
    assert ("exact duplicates are not known" in text) == (surplus > 0)


@pytest.mark.parametrize(("excess", "grade"), [(0.0, "good"), (0.01, "good"), (0.05, "fair"), (0.3, "poor")])
def test_collisions_by_what_the_tokenizer_adds(excess, grade):
    rows = ("excess_duplicate_rate", 0, "items", None, excess), ("exact_duplicate_rate", 0, "items", None, 0.4)
    ((found, text),) = sentences(*rows)
    assert found == grade
    assert "exact duplicates" in text


@pytest.mark.parametrize(("error", "grade"), [(0.2, "good"), (0.5, "fair"), (0.9, "poor"), (1.2, "poor")])
def test_fidelity(error, grade):
    ((found, text),) = sentences(("relative_mse", 0, "items", None, error))
    assert found == grade
    assert ("no better than" in text) == (error > 1)


def test_churn_names_the_worst_level():
    data = replace(
        build(levels=2, items=1000),
        metrics=(MetricRow("churn_matched", 1, "items", None, 0.3), MetricRow("churn_matched", 2, "items", None, 0.1)),
    )
    (found,) = findings(data)
    assert found.grade == "poor"
    assert "(level 1," in found.text


@pytest.mark.parametrize(
    ("status", "failed", "title", "passed"),
    [
        ("published", False, "Published", True),
        ("passed", False, "Gate passed", True),
        ("started", False, "Not published", True),
        ("gate_failed", True, "Gate failed", False),
        ("started", True, "Gate failed", False),
    ],
)
def test_the_banner(status, failed, title, passed):
    data = build(items=1000, failed=failed)
    found = verdict(replace(data, run={**data.run, "status": status}))
    assert (found.title, found.passed) == (title, passed)
    assert ("1 of 5 gate rules" in found.sentence) == failed


def test_a_run_without_rules():
    assert verdict(BARE).sentence == "No gate rule was set: readers follow this run."


def test_what_training_warned_of_comes_first():
    warned = replace(BARE, training={"warnings": ["level 1 uses 7 of 256 codes: use drq"]})
    assert [(found.grade, found.text) for found in findings(warned)] == [
        ("poor", "Training: level 1 uses 7 of 256 codes: use drq.")
    ]


@pytest.mark.parametrize(("unseen", "told"), [(None, False), (0.48, True)])
def test_error_of_unseen_items_stands_beside_that_of_all(unseen, told):
    rows = [("relative_mse", 0, "items", None, 0.35), ("residual_share", 1, "items", None, 0.35)]
    rows += [] if unseen is None else [("residual_share_unseen", 0, "items", None, unseen)]
    ((grade, text),) = sentences(*rows)
    assert grade == "fair"
    assert text.startswith(f"The SIDs explain {percent(0.65)} of the variance")
    assert (f"{percent(0.48)} for items unseen in training" in text) == told


@pytest.mark.parametrize(("recall", "grade"), [(0.6, "good"), (0.4, "fair"), (0.1, "poor")])
def test_neighbours_are_judged(recall, grade):
    ((found, text),) = sentences(("neighbour_recall_20", 0, "items", None, recall))
    assert found == grade
    assert percent(recall) in text


@pytest.mark.parametrize(("kept", "grade"), [(1.29, "good"), (0.9, "fair"), (0.5, "poor")])
def test_behaviour_is_judged_against_the_embeddings(kept, grade):
    rows = [("retention_200", 0, "items", None, kept)]
    ((found, text),) = sentences(*rows)
    assert found == grade
    assert f"{kept:g} times as often" in text
    assert "AUC" not in text
    auc = [(f"auc_{of}_popularity", 0, "items", None, value) for of, value in (("sum", 0.854), ("raw", 0.763))]
    ((_, text),) = sentences(*rows, *auc)
    assert "AUC of 0.854 against 0.763" in text


def test_capacity_by_exposure_is_told_beside_that_by_items():
    rows = [("distribution", 1, "exposure", None, 0.4), ("geometry", 1, "exposure", 0.5, 0.5)]
    ((grade, text),) = sentences(*rows)
    assert grade == "fair"
    assert "By exposure the levels use 20 % of their capacity" in text
