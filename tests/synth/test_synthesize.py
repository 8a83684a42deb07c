"""`drq synth` as its user meets it: three commands of a session, the same rows for any partitioning."""

from __future__ import annotations

import numpy as np
import pyarrow.dataset as ds
import pytest
import yaml
from pipeline.nights import command

from drq_spark.cli.application import main
from drq_spark.synth import step


def read(folder, name):
    return ds.dataset(folder / name).to_table().sort_by([("item_id", "ascending")])


def synth(out, *more):
    return command(["synth", "--out", str(out), "--n-items", "700", "--n-users", "90", *more])


def test_the_same_rows_for_any_partitioning_and_a_run_can_read_them(spark, tmp_path, monkeypatch):
    code, said, wrong = synth(tmp_path / "one")
    assert (code, wrong) == (0, "")
    monkeypatch.setattr(step, "_PARTITIONS", 1)
    monkeypatch.setattr(step, "_USERS", 7)
    assert synth(tmp_path / "two")[0] == 0
    assert read(tmp_path / "one", "items") == read(tmp_path / "two", "items")
    order = [("user_id", "ascending"), ("at", "ascending")]
    events = [read(tmp_path / name, "events").sort_by(order) for name in ("one", "two")]
    assert events[0] == events[1]
    items = read(tmp_path / "one", "items")
    assert len(set(items["item_id"].to_pylist())) == 700
    assert set(events[0]["item_id"].to_pylist()) <= set(items["item_id"].to_pylist())
    assert np.isfinite(items["exposure"].to_numpy()).all()
    assert list(yaml.safe_load((tmp_path / "one" / "columns.yaml").read_text())) == ["items", "events"]
    assert "drq run --config" in said
    where = [str(tmp_path / "one" / name) for name in ("columns.yaml", "items", "events")]
    dry = ["run", "--config", where[0], "--items", where[1], "--events", where[2], "--out", str(tmp_path / "o")]
    assert command([*dry, "--codes", "16", "--dry-run"])[0] == 0
    assert not (tmp_path / "one" / "staging").exists()


def test_a_catalogue_that_is_there_is_not_written_over(spark, tmp_path, capsys):
    (tmp_path / "items").mkdir()
    assert main(["synth", "--out", str(tmp_path), "--n-items", "10"]) == 2
    assert "holds items already" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("option", ["--n-items=0", "--n-users=0"])
def test_none_of_something_is_refused(tmp_path, option):
    assert main(["synth", "--out", str(tmp_path), option]) == 2
