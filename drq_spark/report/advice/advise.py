"""All rules of advice, each once, in the order in which they speak.

A rule that explains a fault silences those that only see its consequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drq_spark.metrics import MetricRow
from drq_spark.report.advice import drift_rules, level_rules, sid_rules
from drq_spark.report.advice.evidence import Evidence
from drq_spark.report.advice.rule import Advice, Rule

__all__ = ["Advice", "Rule", "advice"]

_RULES: tuple[Callable[[Evidence, Sequence[Advice]], Advice | None], ...] = (
    level_rules.collapsed,
    level_rules.dead,
    level_rules.uneven,
    level_rules.unstable,
    level_rules.crowded,
    level_rules.exposure,
    sid_rules.duplicates,
    sid_rules.too_small,
    sid_rules.clumped,
    sid_rules.behaviour,
    drift_rules.drifted,
)


def advice(figures: Sequence[MetricRow], codebook_sizes: Sequence[int], headline_eta: float) -> list[Advice]:
    """What is wrong with a run and what to do, worst first; nothing for a sound one.

    Args:
        figures: Rows of the metrics table; a rule without its figures is silent.
        codebook_sizes: K per level.
        headline_eta: The eta of the capacity figures.
    """
    seen = Evidence(figures, tuple(codebook_sizes), headline_eta)
    found: list[Advice] = []
    for rule in _RULES:
        result = rule(seen, found)
        if result is not None:
            found.append(result)
    return found
