"""How long idle threads spin is set once, and a user's own word counts."""

from __future__ import annotations

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from drq_spark.idle_threads import let_idle_threads_sleep, products_by_one_thread


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"GOMP_SPINCOUNT": "2000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
    ids=["nobody has", "spins", "policy"],
)
def test_threads_spin_for_a_moment_where_nobody_says_otherwise(monkeypatch, before, after):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    let_idle_threads_sleep()
    try:
        assert {name: os.environ[name] for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY") if name in os.environ} == after
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)  # what was not there before is not put back by monkeypatch


def test_products_take_one_thread_inside_and_as_many_as_before_afterwards():
    def threads():
        return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}

    assert np.ones((2, 2)) @ np.ones(2) == pytest.approx(2)  # numpy's BLAS is there
    before = threads()
    with products_by_one_thread():
        assert threads() == {1}
    assert threads() == before
