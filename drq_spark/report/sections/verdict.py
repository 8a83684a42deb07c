"""How good a run is, in plain words; what to do about it is said by `drq_spark.report.advice`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from drq_spark.metrics import EXPOSURE, Metric
from drq_spark.page.numbers import number, percent, whole_percent
from drq_spark.report.data import ReportData
from drq_spark.schemas import Status

Grade = Literal["good", "fair", "poor"]

# (good up to, fair up to): guides for the eye, from runs on catalogues of text embeddings; the gate decides, not these.
_CAPACITY_LOST = (0.4, 0.75)
_EXCESS_DUPLICATES = (0.01, 0.1)
_RELATIVE_MSE = (0.3, 0.6)
_NEIGHBOURS_LOST = (0.5, 0.75)
_BEHAVIOUR_LOST = (0.05, 0.25)
_EXPOSED_CAPACITY_LOST = (0.7, 0.95)
_QUARANTINED = (0.001, 0.02)
_MOVED = (0.05, 0.25)


@dataclass(frozen=True)
class Finding:
    """One sentence, and how good its news is."""

    grade: Grade
    text: str


@dataclass(frozen=True)
class Verdict:
    """The banner: a word on the state, a sentence, and whether readers may follow the run."""

    passed: bool
    title: str
    sentence: str


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    return {"verdict": verdict(data), "findings": findings(data)}


def verdict(data: ReportData) -> Verdict:
    """State of the run and what it means for readers."""
    if data.external:
        return Verdict(True, "Measured", "SIDs from elsewhere, measured but not judged: readers stay where they are.")
    failed = [rule for rule in data.gate if not rule.passed]
    rules = f"{number(len(data.gate))} gate rule{'s' * (len(data.gate) != 1)}"
    if failed or data.run.get("status") == Status.GATE_FAILED.value:
        what = f"{number(len(failed))} of {rules} failed" if failed else "a gate rule failed"
        return Verdict(
            False, "Gate failed", f"{what.capitalize()}: the SIDs are written, but readers stay on the last good run."
        )
    held = f"all {rules} hold" if data.gate else "no gate rule was set"
    if data.run.get("status") == Status.PUBLISHED.value:
        return Verdict(True, "Published", f"{held.capitalize()}: readers follow this run.")
    if data.run.get("status") == Status.PASSED.value:  # the page is written just before the pointer moves
        return Verdict(True, "Gate passed", f"{held.capitalize()}: readers move to this run.")
    if data.run.get("status") == Status.OVERTAKEN.value:
        return Verdict(True, "Not published", f"{held.capitalize()}, but readers follow a newer run.")
    return Verdict(True, "Not published", f"{held.capitalize()}; readers have not been moved to this run yet.")


def grade(value: float, bounds: tuple[float, float]) -> Grade:
    """Good up to the first bound, fair up to the second, poor beyond."""
    return "good" if value <= bounds[0] else "fair" if value <= bounds[1] else "poor"


def findings(data: ReportData) -> list[Finding]:
    """Everything worth a sentence: first what training warned of, the levels, the whole SIDs, then what changed."""
    warned = [Finding("poor", f"Training: {warning}.") for warning in data.training.get("warnings", ())]
    levels = [_level(data, level) for level in range(1, len(data.codebook_sizes) + 1)]
    kept = [_exposure(data), _collisions(data), _fidelity(data), _neighbours(data), _behaviour(data)]
    rest = [*kept, _churn(data), _quarantine(data)]
    return [finding for finding in (*warned, *levels, *rest) if finding is not None]


def _level(data: ReportData, level: int) -> Finding | None:
    parts = data.capacity_parts(level)
    if parts is None:
        return _level_by_use(data, level) if data.external else None
    d, g = parts
    uneven = round(100 * (1 - d))
    close = max(0, 100 - round(100 * d * g) - uneven)  # the three add up to 100 as they are written
    uses = f"Level {level} uses {whole_percent(d * g)} % of its capacity"
    text = f"{uses}: {uneven} % lost to imbalance, {close} % to codewords too close."
    return Finding(grade(1 - d * g, _CAPACITY_LOST), text + _dead(data, level))


def _level_by_use(data: ReportData, level: int) -> Finding | None:
    """The finding about a level where the codewords are not known."""
    d = data.figures.value(Metric.DISTRIBUTION, level)
    if d is None:
        return None
    text = f"Level {level} loses {round(100 * (1 - d))} % of its capacity to imbalance."
    return Finding(grade(1 - d, _CAPACITY_LOST), text + _dead(data, level))


def _dead(data: ReportData, level: int) -> str:
    dead = data.figures.value(Metric.DEAD_CODES, level)
    if not dead:
        return ""
    return (
        f" {number(dead)} of {number(data.codebook_sizes[level - 1])} codes {'is' if dead == 1 else 'are'} never used."
    )


def _collisions(data: ReportData) -> Finding | None:
    excess = data.figures.value(Metric.EXCESS_DUPLICATE_RATE)
    if excess is None:
        return _surplus(data)
    exact = data.figures.value(Metric.EXACT_DUPLICATE_RATE) or 0.0
    unavoidable = f"; another {percent(exact)} are exact duplicates, which no tokenizer can tell apart" if exact else ""
    if excess == 0:
        return Finding("good", f"Every different embedding has a SID of its own{unavoidable}.")
    return Finding(
        grade(excess, _EXCESS_DUPLICATES),
        f"{percent(excess)} of the items are surplus: different embeddings behind a SID that is taken{unavoidable}.",
    )


def _surplus(data: ReportData) -> Finding | None:
    """The finding about surplus items where embeddings, and so exact duplicates, are not known."""
    surplus = data.figures.value(Metric.DUPLICATE_RATE)
    if surplus is None:
        return None
    if surplus == 0:
        return Finding("good", "Every item has a SID of its own.")
    text = f"{percent(surplus)} of the items are surplus: their SID is taken; exact duplicates are not known."
    return Finding(grade(surplus, _EXCESS_DUPLICATES), text)


def _fidelity(data: ReportData) -> Finding | None:
    error = data.figures.value(Metric.RELATIVE_MSE)
    if error is None:
        return None
    text = "The SIDs rebuild embeddings no better than the average item would."
    if error < 1:
        text = f"The SIDs explain {percent(1 - error)} of the variance of the embeddings{_unseen(data)}."
    return Finding(grade(error, _RELATIVE_MSE), text)


def _unseen(data: ReportData) -> str:
    """The same of items that training did not see, which is what new ones will have."""
    left = data.figures.value(Metric.RESIDUAL_SHARE_UNSEEN)
    seen = data.figures.value(Metric.RESIDUAL_SHARE, len(data.codebook_sizes))
    if left is None or seen is None:
        return ""
    return f"; {percent(seen)} of what tells items apart is left over, {percent(left)} for items unseen in training"


def _neighbours(data: ReportData) -> Finding | None:
    recall = data.figures.value(Metric.NEIGHBOUR_RECALL_20)
    if recall is None:
        return None
    text = f"Of the 20 items nearest to one {percent(recall)} are still among the nearest by SID."
    return Finding(grade(1 - recall, _NEIGHBOURS_LOST), text)


def _behaviour(data: ReportData) -> Finding | None:
    """The finding about what users take next: SIDs against the embeddings that they are made from."""
    kept = data.figures.value(Metric.RETENTION_200)
    if kept is None:
        return None
    auc, raw = (data.figures.value(metric) for metric in (Metric.AUC_SUM_POPULARITY, Metric.AUC_RAW_POPULARITY))
    text = f"What a user takes next is among the 200 nearest by SID {number(kept)} times as often as by embedding"
    if auc is not None and raw is not None:
        text += f"; such pairs are told from others as popular with an AUC of {number(auc)} against {number(raw)}"
    return Finding(grade(1 - kept, _BEHAVIOUR_LOST), f"{text}.")


def _exposure(data: ReportData) -> Finding | None:
    """The finding about capacity where a code counts by how often its items are shown."""
    parts = [data.capacity_parts(level, EXPOSURE) for level in data.levels]
    left = [d * g for part in parts if part is not None for d, g in [part]]
    if not left:
        return None
    low, high = whole_percent(min(left)), whole_percent(max(left))
    span = f"{low} %" if low == high else f"{low} to {high} %"
    text = f"By exposure the levels use {span} of their capacity: that is how evenly what is shown spreads over codes."
    return Finding(grade(1 - min(left), _EXPOSED_CAPACITY_LOST), text)


def _churn(data: ReportData) -> Finding | None:
    values = [
        (value, level)
        for level in range(1, len(data.codebook_sizes) + 1)
        if (value := data.figures.value(Metric.CHURN_MATCHED, level)) is not None
    ]
    if not values:
        return None
    worst, level = max(values)
    text = f"Since the last run up to {percent(worst)} of the items really moved (level {level}, renamed codes apart)."
    return Finding(grade(worst, _MOVED), text if worst else "No item really moved since the previous run.")


def _quarantine(data: ReportData) -> Finding | None:
    rate = data.figures.value(Metric.QUARANTINE_RATE)
    if not rate:
        return None
    return Finding(grade(rate, _QUARANTINED), f"{percent(rate)} of the input rows have no SID; the reasons are below.")
