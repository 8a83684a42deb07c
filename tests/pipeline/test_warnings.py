"""What training warns of reaches the person who watches the run."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone

from pipeline.catalogues import plain, write
from pipeline.direct import config

from drq_spark import pipeline
from drq_spark.progress import Silent
from drq_spark.train.driver import fit_tokenizer


class Notes(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_warnings_of_training_are_notes(spark, tmp_path, monkeypatch):
    def warned(*arguments):
        tokenizer = fit_tokenizer(*arguments)
        return replace(tokenizer, training={**tokenizer.training, "warnings": ["level 1 uses 7 of 256 codes: help"]})

    monkeypatch.setattr(pipeline, "fit_tokenizer", warned)
    notes = Notes()
    chosen = config(write(plain(80, 4), tmp_path / "items"), f"store.out={tmp_path}/out", "tokenizer.name=rq_kmeans")
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    run, catalogue = pipeline.begin(spark, chosen, date(2026, 1, 1), now, notes)

    with run.tidied():
        pipeline.sample(run, catalogue)
        pipeline.train(run)
    assert notes.lines[-1] == "warning: level 1 uses 7 of 256 codes: help"
