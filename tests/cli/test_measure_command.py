"""`drq measure` is one word for two commands: which of them is meant, what it is given, and what does not fit it."""

from __future__ import annotations

from datetime import date

import pytest

from drq_spark.cli import main, measure_command


@pytest.fixture
def called(monkeypatch):
    """What the two commands were called with, in place of their work."""
    calls = []
    monkeypatch.setattr(measure_command, "measure_run", lambda *given: calls.append(("run", *given)))
    monkeypatch.setattr(measure_command, "measure_external", lambda *given: calls.append(("external", *given)))
    return calls


def test_without_sids_a_run_is_measured(called):
    assert main(["measure", "--out", "o", "--run", "r", "--schema", "c.s", "--embeddings-after", "later"]) == 0
    assert called == [("run", "o", "r", "c.s", "later")]


def test_with_sids_those_of_another_system_are(called, tmp_path):
    line = ["measure", "--out", str(tmp_path), "--schema", "c.s", "--sids", "m.json", "--items", "i", "--events", "e"]
    line += ["--codebooks", "b.npz", "--codes", "8", "--set", "sids.base=1", "--run-date", "2026-01-02"]
    assert main([*line, "--embeddings-after", "later"]) == 0
    ((command, config, run_date),) = called
    assert (command, run_date.date()) == ("external", date(2026, 1, 2))
    assert (config.sids.path, config.sids.codebooks, config.sids.codes, config.sids.base) == ("m.json", "b.npz", 8, 1)
    assert (config.items.path, config.events.path, config.measure.embeddings_after) == ("i", "e", "later")
    assert (config.store.out, config.store.schema_name) == (str(tmp_path), "c.s")


@pytest.mark.parametrize(
    ("given", "codes"), [("8", 8), ("8,16, 4", (8, 16, 4)), ("8,", None), ("x", None), ("-8", None)]
)
def test_codes_are_one_number_or_one_per_level(called, tmp_path, capsys, given, codes):
    code = main(["measure", "--out", str(tmp_path), "--sids", "m.json", f"--codes={given}"])
    if codes is not None:
        assert (code, called[0][1].sids.codes) == (0, codes)
        return
    assert (code, called) == (2, [])
    told = " ".join(capsys.readouterr().err.split())
    assert f"sids.codes: must be an integer of 2 or more, or a list of them, or null, not '{given}'" in told


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--sids", "m.json", "--run", "r"], "--run is not for --sids"),
        (["--items", "i", "--set", "seed=1"], "--items, --set are for --sids; a run is measured by the settings"),
        (["--run-date", "2026-01-02"], "--run-date are for --sids"),
        (["--codes", "8", "--codebooks", "b"], "--codebooks, --codes are for --sids"),
    ],
)
def test_options_of_the_other_command_are_refused(called, capsys, more, says):
    assert main(["measure", "--out", "o", *more]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert called == []
