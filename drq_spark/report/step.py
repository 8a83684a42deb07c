"""The last thing that a run does before readers may follow it: its page."""

from __future__ import annotations

from dataclasses import asdict

from drq_spark.files import write_bytes
from drq_spark.outcome import judged
from drq_spark.report.gather import gather
from drq_spark.report.render import render
from drq_spark.runs import Run


def write_report(run: Run) -> None:
    """Write the page about a measured run.

    Raises:
        ConfigError: The run has no figures.
    """
    figures = run.figures()
    tokenizer = None if run.config.external else run.tokenizer()
    gate, sids = judged(run, figures), run.sids()
    data = gather(run.store, asdict(run.state), sids, run.config, tokenizer, run.codebook_sizes, figures, gate)
    write_bytes(run.store.report, render(data).encode())
