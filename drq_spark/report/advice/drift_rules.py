"""Rules about a tokenizer that has stayed while the catalogue has not: whether to retrain.

Thresholds are guides: the gate decides, not these. Without drift new items cost what items cost that training kept
away, and shares of codes differ by what chance makes of a night.
"""

from __future__ import annotations

from collections.abc import Sequence

from drq_spark.metrics import ITEMS, Metric, MetricRow
from drq_spark.report.advice.evidence import Evidence
from drq_spark.report.advice.rule import ERRORS, Advice, Rule

# New items of the same kind have the error of unseen ones; a fifth more is another kind of item.
_DEARER = 1.2
# 0.05 bits: a use of 256 codes of which a fifth of the items has gone elsewhere.
_MOVED = 0.05


def _is_dear(new: MetricRow, unseen: float) -> bool:
    """Whether new items cost more than unseen ones by more than chance makes; of few items nothing can be said."""
    error = new.standard_error
    return error is not None and new.value - ERRORS * error > _DEARER * unseen


def drifted(seen: Evidence, found: Sequence[Advice]) -> Advice | None:
    """New items lie further from the codewords than unseen ones did at training, or the use of codes has moved."""
    new, unseen = seen.figures.row(Metric.RESIDUAL_SHARE_NEW), seen.figures.value(Metric.RESIDUAL_SHARE_UNSEEN)
    drift = {level: seen.figures.value(Metric.CODE_DRIFT, level) for level in seen.levels}
    moved = {level: value for level, value in drift.items() if value is not None and value > _MOVED}
    dear = new is not None and unseen and _is_dear(new, unseen)
    if not dear and not moved:
        return None
    numbers = [(f"{Metric.CODE_DRIFT.value} of level {level}", value) for level, value in moved.items()]
    if dear and new is not None and unseen:
        numbers = [(Metric.RESIDUAL_SHARE_NEW.value, new.value), (Metric.RESIDUAL_SHARE_UNSEEN.value, unseen), *numbers]
    return Advice(
        Rule.DRIFTED, tuple(moved), ITEMS,
        "New items lie further from the codewords than items that the training had not seen, or codes are used by "
        "other shares of the items than then.",
        "Retrain on the catalogue of today. Until then new items have coarser SIDs than old ones, and that is all.",
        "drq nightly --retrain keeps most SIDs (train.stability.budget); a few nights more do no harm meanwhile.",
        tuple(numbers),
    )  # fmt: skip
