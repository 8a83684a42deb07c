"""What a run is known by: which one is taken up again, and which is another."""

from __future__ import annotations

import pytest
from runs_in_hand import DAY, NOW, run_of, state_of

from drq_spark import run_state
from drq_spark.config import load_config
from drq_spark.run_state import find_same_run, new_run
from drq_spark.schemas import Status


@pytest.fixture(scope="module")
def begun(spark, tmp_path_factory):
    """A run that has only begun."""
    run = run_of(spark, tmp_path_factory.mktemp("begun"), "begun", status=Status.STARTED.value)
    run.save()
    return run


class TestSameRun:
    """An unfinished run is taken up again by the version that began it; another one may number or round otherwise."""

    def test_the_same_settings_rows_and_version_are_the_same_run(self, begun):
        found = find_same_run(begun.store, state_of("fresh"))
        assert found is not None
        assert found.run_id == "begun"

    @pytest.mark.parametrize("name", ["config_fingerprint", "input_fingerprint", "package_version"])
    def test_anything_else_is_another(self, begun, name):
        assert find_same_run(begun.store, state_of("fresh", **{name: "another"})) is None


def test_another_version_of_the_package_gives_another_id(monkeypatch):
    def fresh():
        return new_run(load_config(), "content", DAY, NOW, 4, 2, "string").run_id

    before = fresh()
    assert fresh() == before
    monkeypatch.setattr(run_state, "__version__", "0.0.1")
    assert fresh() != before
