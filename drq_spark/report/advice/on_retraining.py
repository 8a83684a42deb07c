"""Whether what was written of a run advises to train its tokenizer anew."""

from __future__ import annotations

from drq_spark.page.numbers import three_digits
from drq_spark.report.advice.advise import advice
from drq_spark.report.advice.rule import Rule
from drq_spark.run_state import RunState
from drq_spark.runs import metric_row
from drq_spark.schemas import METRICS
from drq_spark.store import Store


def why_retrain(store: Store, state: RunState) -> str | None:
    """The figures of a measured run for which its page advises to retrain, in words; None where it does not."""
    config = state.settings()
    figures = [metric_row(row) for row in store.read(METRICS, state.run_id).collect()]
    found = advice(figures, config.tokenizer.codebook_sizes, config.measure.headline_eta)
    numbers = [number for entry in found if entry.rule is Rule.DRIFTED for number in entry.numbers]
    return ", ".join(f"{name} {three_digits(value)}" for name, value in numbers) or None
