"""Figures of SIDs that go with downstream ones, on runs made by hand; and the page of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drq_spark.probe.probe_page import best_predictors, downstream, render
from drq_spark.probe.what_predicts import Downstream, Point, predictions

NAMES = ("rq_kmeans", "drq", "rq_vae", "drq_vae", "rqp_vae", "drq_vae_cl")


def points(seeds: int = 3) -> list[Point]:
    """Downstream figures fall with the error and have nothing to do with Gini; seeds are of different difficulty."""
    random = np.random.default_rng(1)
    made = []
    for seed in range(seeds):
        for place, name in enumerate(NAMES):
            error, gini = 0.1 * (place + 1), float(random.uniform())
            worth = 0.5 - 0.2 * error + 0.1 * seed + 0.002 * random.normal()
            figures = {
                ("tiger", "ndcg_10", "all"): Downstream(worth, 0.01, 100),
                ("tiger", "ndcg_10", "cold"): Downstream(worth / 2, None, 10),
            }
            if place == 0:
                figures["popularity", "ndcg_10", "all"] = Downstream(0.05, 0.01, 100)
            made.append(Point(name, name, seed, {"relative_mse": (error,), "gini": (gini, gini)}, figures))
    return made


def test_what_goes_with_it_is_found_within_the_seeds() -> None:
    found = {one.column.key: one for one in predictions(points())}
    assert found["relative_mse"].key == ("tiger", "ndcg_10", "all")
    assert found["relative_mse"].points == 18
    assert found["relative_mse"].found.value > 0.95  # a low error is good
    assert found["relative_mse"].found.low > 0.8
    assert found["gini"].found.low < 0 < found["gini"].found.high
    assert best_predictors(list(found.values())) == ["tiger: ndcg@10: relative MSE (+0.99)."]


def test_few_runs_have_no_correlation() -> None:
    assert predictions(points()[:3]) == []
    assert "Fewer than four runs" in render(points(1)[:3], "shop")


def test_the_page_has_tokenizers_and_what_models_without_sids_reach() -> None:
    page = render(points(), "a <shop>")
    assert "a &lt;shop&gt;" in page
    assert "★" in page  # rq_kmeans is ahead in every seed
    assert "popularity: ndcg@10" in page
    assert "Fewer than 20 runs" in page
    comparison = downstream(points())
    assert comparison.names == NAMES
    assert [column.title for column in comparison.columns] == [
        "tiger: ndcg@10",
        "tiger: ndcg@10, cold items",
    ]


def test_clicks_are_shown_and_explained_where_a_model_has_explored() -> None:
    clicks = {("age_sid", "clicks", "all"): Downstream(0.2, 0.01, 100)}
    explored = [replace(point, downstream={**point.downstream, **clicks}) for point in points()]
    page = render(explored, "shop")
    assert "age_sid: clicks" in page
    assert "<dt>clicks</dt>" in page
    assert "<dt>clicks</dt>" not in render(points(), "shop")
