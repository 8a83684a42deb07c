"""The gate: which figures a run must reach before readers follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drq_spark.config import GateRule, Measure
from drq_spark.metrics import Metric, MetricRow, Ruler

_NEEDS_A_PREVIOUS_RUN = {Metric.CHURN, Metric.CHURN_MATCHED}


@dataclass(frozen=True)
class GateResult:
    """One gate rule and what became of it.

    Attributes:
        rule: the sentence shown. metric, level: of the worst figure that the rule met. value: that figure, None where
        the run has no such figure. passed: whether the rule holds.
    """

    rule: str
    metric: str
    level: int
    value: float | None
    passed: bool


def judge(
    rules: Sequence[GateRule], figures: Sequence[MetricRow], settings: Measure, *, has_previous: bool = False
) -> tuple[GateResult, ...]:
    """Result of every rule. A rule about a figure that the run does not have fails, but for churn at the first run.

    `has_previous` tells that there is a published run to compare with.
    """
    return tuple(_judge(rule, figures, settings, has_previous) for rule in rules)


def _judge(rule: GateRule, figures: Sequence[MetricRow], settings: Measure, has_previous: bool) -> GateResult:
    met = [figure for figure in figures if _concerns(rule, figure, settings)]
    if not met:
        passed = rule.metric in _NEEDS_A_PREVIOUS_RUN and not has_previous
        return GateResult(_sentence(rule), rule.metric.value, rule.level or 0, None, passed)
    worst = max(met, key=lambda figure: _excess(rule, figure.value))
    return GateResult(_sentence(rule), rule.metric.value, worst.level, worst.value, _excess(rule, worst.value) <= 0)


def _concerns(rule: GateRule, figure: MetricRow, settings: Measure) -> bool:
    eta = rule.eta if rule.eta is not None else settings.headline_eta
    return (
        figure.metric == rule.metric.value
        and rule.level in (None, figure.level)
        and figure.weighting == rule.weighting
        and figure.eta in (None, eta)
        and figure.ruler in (None, Ruler.LATENT.value)
    )


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
    by = " by exposure" if rule.weighting == "exposure" else ""
    return f"{rule.metric.value}{where}{by}{scale} {' and '.join(bounds)}"
