"""The gate: which figures a run must reach before readers follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from drq_spark.config import GateRule, Measure
from drq_spark.metrics import EXPOSURE, Metric, MetricRow, Metrics

_NEEDS_A_PREVIOUS_RUN = {Metric.CHURN, Metric.CHURN_MATCHED}


@dataclass(frozen=True)
class GateResult:
    """One gate rule and what became of it.

    Attributes:
        rule: The sentence shown.
        metric: Name of the figure that the rule is about.
        level: Level of the worst figure that the rule met.
        value: That figure, None where the run has no such figure.
        passed: Whether the rule holds.
    """

    rule: str
    metric: str
    level: int
    value: float | None
    passed: bool

    @property
    def found(self) -> str:
        """The figure in words; what is said where the run has no such figure."""
        return "no such figure" if self.value is None else f"{self.value:.4g}"


def judge(
    rules: Sequence[GateRule],
    figures: Sequence[MetricRow],
    settings: Measure,
    *,
    has_previous: bool = False,
    past: Sequence[Metrics] = (),
) -> tuple[GateResult, ...]:
    """Result of every rule.

    A rule about a figure that the run does not have fails; churn at the first run is the exception. A rule that looks
    back passes where no earlier run has the figure.

    Args:
        rules: The rules.
        figures: Those of the run.
        settings: Its headline eta.
        has_previous: Whether there is a published run to compare with.
        past: Figures of the runs that readers followed before, the latest first.
    """
    metrics = Metrics(figures)
    return tuple(
        _judge(rule, metrics, settings.headline_eta, has_previous)
        if rule.of_last is None
        else _judge_against(rule, metrics, settings.headline_eta, past[: rule.of_last])
        for rule in rules
    )


def _judge_against(rule: GateRule, metrics: Metrics, headline_eta: float, past: Sequence[Metrics]) -> GateResult:
    """A rule whose bounds are times the median of earlier runs; its value is that ratio."""
    eta = headline_eta if rule.eta is None else rule.eta
    ratios = []
    for row in metrics.on_every_level(rule.metric, rule.weighting, eta):
        if rule.level not in (None, row.level):
            continue
        before = [
            found for run in past if (found := run.value(rule.metric, row.level, rule.weighting, row.eta)) is not None
        ]
        if before and (usual := median(before)) > 0:
            ratios.append((row.level, row.value / usual))
    if not ratios:
        return GateResult(_sentence(rule), rule.metric.value, rule.level or 0, None, passed=True)
    level, ratio = max(ratios, key=lambda found: _excess(rule, found[1]))
    return GateResult(_sentence(rule), rule.metric.value, level, ratio, _excess(rule, ratio) <= 0)


def _judge(rule: GateRule, metrics: Metrics, headline_eta: float, has_previous: bool) -> GateResult:
    eta = headline_eta if rule.eta is None else rule.eta
    met = [row for row in metrics.on_every_level(rule.metric, rule.weighting, eta) if rule.level in (None, row.level)]
    if not met:
        passed = rule.metric in _NEEDS_A_PREVIOUS_RUN and not has_previous
        return GateResult(_sentence(rule), rule.metric.value, rule.level or 0, None, passed)
    worst = max(met, key=lambda figure: _excess(rule, figure.value))
    return GateResult(_sentence(rule), rule.metric.value, worst.level, worst.value, _excess(rule, worst.value) <= 0)


def _excess(rule: GateRule, value: float) -> float:
    """How far a value is outside the bounds; not above 0 where it is within."""
    over = value - rule.maximum if rule.maximum is not None else float("-inf")
    under = rule.minimum - value if rule.minimum is not None else float("-inf")
    return max(over, under)


def _sentence(rule: GateRule) -> str:
    bounds = [f"at least {rule.minimum:g}"] if rule.minimum is not None else []
    bounds += [f"at most {rule.maximum:g}"] if rule.maximum is not None else []
    where = "" if rule.level in (None, 0) else f" of level {rule.level}"
    scale = f" at eta {rule.eta:g}" if rule.eta is not None else ""
    by = " by exposure" if rule.weighting == EXPOSURE else ""
    runs = "run" if rule.of_last == 1 else f"{rule.of_last} runs"
    times = "" if rule.of_last is None else f" times the median of the last {runs} that readers followed"
    return f"{rule.metric.value}{where}{by}{scale} {' and '.join(bounds)}{times}"
