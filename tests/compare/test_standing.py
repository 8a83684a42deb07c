"""Who wins, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drq_spark.compare.comparison_page import pick, render, rows
from drq_spark.compare.standing import Result, compared, costs_of, leads, values_of, winner
from drq_spark.config import Measure
from drq_spark.metrics import MetricRow


def results(**figures: list[dict[str, tuple[float, ...]]]) -> list[Result]:
    return [Result(name, seed, values) for name, rows in figures.items() for seed, values in enumerate(rows)]


def test_noise_is_of_the_differences_seed_by_seed():
    """Seeds move both together by far more than they differ: the difference is no noise."""
    assert winner({"a": [0.30, 0.50, 0.70], "b": [0.29, 0.489, 0.69]}, "high") == "a"
    assert winner({"a": [0.30, 0.50, 0.70], "b": [0.29, 0.489, 0.69]}, "low") == "b"


def test_the_bound_is_the_students_one():
    """Differences 1, 2, 3: mean 2, sd 1, t_{2, .975} = 4.3027, half-width 2.484: not ahead; with mean 2.5 it is."""
    nothing = [0.0, 0.0, 0.0]
    assert winner({"a": [1.0, 2.0, 3.0], "b": nothing}, "high") is None
    assert winner({"a": [1.5, 2.5, 3.5], "b": nothing}, "high") == "a"


def test_a_winner_must_beat_all():
    assert winner({"a": [1.0, 1.01], "b": [0.5, 0.51], "c": [1.0, 1.01]}, "high") is None


def test_without_noise_known_or_others_nobody_wins():
    assert winner({"a": [1.0], "b": [0.0]}, "high") is None
    assert winner({"a": [1.0, 1.0]}, "high") is None


def test_the_front_and_the_means():
    table = compared(
        results(
            good=[{"robust_capacity": (0.4, 0.9), "relative_mse": (0.3,)}] * 2,
            worse=[{"robust_capacity": (0.36, 0.9), "relative_mse": (0.3,)}] * 2,
            other=[{"robust_capacity": (0.1, 0.1), "relative_mse": (0.2,)}] * 2,
        )
    )
    assert table.front == ("good", "other")
    cell = table.cells["good", "robust_capacity"]
    assert cell.shown == pytest.approx((0.4, 0.9))
    assert cell.mean == pytest.approx(0.6)  # sqrt(.4 * .9)
    assert cell.winner
    assert not table.cells["good", "relative_mse"].winner
    assert table.cells["other", "relative_mse"].winner
    assert [column.key for column in table.columns] == ["robust_capacity", "relative_mse"]


def test_a_figure_that_a_seed_lacks_is_no_column():
    table = compared(results(a=[{"auc": (0.6,), "relative_mse": (0.3,)}, {"relative_mse": (0.3,)}]))
    assert [column.key for column in table.columns] == ["relative_mse"]
    assert len(rows(table)) == 1


def test_equal_points_are_both_on_the_front():
    assert compared(results(a=[{"relative_mse": (0.3,)}], b=[{"relative_mse": (0.3,)}])).front == ("a", "b")


def test_a_tokenizer_without_a_figure_is_last_on_that_axis():
    table = compared(
        results(
            a=[{"relative_mse": (0.3,), "retention_200": (0.9,)}],
            b=[{"relative_mse": (0.3,)}],
            c=[{"relative_mse": (0.2,)}],
        )
    )
    assert table.front == ("a", "c")
    assert ("b", "retention_200") not in table.cells


def test_values_are_found_by_ruler_and_scale():
    rows = [
        MetricRow("effective_capacity", 1, "items", 0.2, 64.0, ruler="input"),
        MetricRow("effective_capacity", 2, "items", 0.2, 32.0, ruler="input"),
        MetricRow("effective_capacity", 1, "items", 0.5, 50.0, ruler="latent"),
        MetricRow("effective_capacity", 1, "exposure", 0.2, 1.0, ruler="input"),
        MetricRow("relative_mse", 0, "items", None, 0.4),
    ]
    found = values_of(rows, (128, 64), Measure())
    assert found == {"robust_capacity": (0.5, 0.5), "relative_mse": (0.4,)}  # level 2 of the latent ruler is missing


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_the_front_is_what_nobody_dominates(points):
    rows = {f"t{i}": [{"relative_mse": (a,), "retention_200": (b,)}] for i, (a, b) in enumerate(points)}
    expected = [
        f"t{i}"
        for i, (a, b) in enumerate(points)
        if not any((c <= a and d >= b) and (c < a or d > b) for c, d in points)
    ]
    assert list(compared(results(**rows)).front) == expected


def test_the_page_escapes_and_marks_winners():
    rng = np.random.default_rng(0)
    rows = {
        name: [{"relative_mse": (base + 0.001 * rng.random(),), "robust_capacity": (0.5, 0.4)} for _ in range(3)]
        for name, base in (("drq", 0.3), ("rq_kmeans", 0.4))
    }
    page = render(compared(results(**rows)), "<script>items</script>")
    assert "★ .300 ±" in page
    assert "drq is ahead in relative MSE." in page
    assert "&lt;script&gt;items" in page
    assert "<script>" not in page
    assert page == render(compared(results(**rows)), "<script>items</script>")
    assert page.count("<svg") == 1


def test_the_pick_leads_in_most_figures_and_costs_lead_nobody():
    table = compared(
        results(
            dear=[{"relative_mse": (0.3,), "recall_20": (0.5,), "auc": (0.7,), "train_seconds": (90.0,)}],
            cheap=[{"relative_mse": (0.4,), "recall_20": (0.4,), "auc": (0.8,), "train_seconds": (9.0,)}],
        )
    )
    assert {name: [column.key for column in columns] for name, columns in leads(table).items()} == {
        "dear": ["relative_mse", "recall_20"],
        "cheap": ["auc"],
    }
    assert pick(table) == "Take dear: it has the best mean in 2 of 3 figures."
    assert pick(table) in render(table, "items")


def test_nobody_is_picked_where_two_lead_in_as_many():
    rows = results(a=[{"relative_mse": (0.3,), "auc": (0.7,)}], b=[{"relative_mse": (0.4,), "auc": (0.8,)}])
    assert pick(compared(rows)) == ""
    assert pick(compared(results(a=[{"relative_mse": (0.3,)}]))) == ""


def test_a_cost_is_no_win_however_clear():
    table = compared(
        results(a=[{"train_seconds": (9.0,)}, {"train_seconds": (9.1,)}], b=[{"train_seconds": (90.0,)}] * 2)
    )
    assert not table.cells["a", "train_seconds"].winner
    ((title, cells),) = rows(table)
    assert title == "training, s ↓"
    assert cells[0][0].startswith("9.05 ±")


def test_costs_are_seconds_of_training_and_microseconds_an_item():
    assert costs_of({"train": 12.0, "assign": 3.0}, 1_000_000) == {"train_seconds": (12.0,), "assign_micros": (3.0,)}
    assert costs_of({"assign": 3.0}, None) == {}


def test_numbers_of_several_levels_say_so():
    ((title, _),) = rows(compared(results(a=[{"gini": (0.1, 0.2, 0.3)}])))
    assert title == "Gini, levels 1 to 3 ↓"
