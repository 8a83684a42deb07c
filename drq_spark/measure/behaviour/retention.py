"""What x_hat keeps of what users do: ranks of the next item in the whole catalogue."""

from __future__ import annotations

from drq_spark.arrays import I64
from drq_spark.formulas.estimates import Estimate, user_mean, user_ratio
from drq_spark.formulas.ranking import hits
from drq_spark.measure.behaviour.scans import ItemAnswers, SidAnswers
from drq_spark.metrics import Metric

_RANKED = {
    20: (Metric.RAW_HIT_RATE_20, Metric.HIT_RATE_20, Metric.RETENTION_20),
    200: (Metric.RAW_HIT_RATE_200, Metric.HIT_RATE_200, Metric.RETENTION_200),
}


def retention(users: I64, by_item: ItemAnswers, by_sid: SidAnswers) -> dict[Metric, Estimate]:
    """Hit rates of the next item at 20 and 200 by x and by x_hat, and their ratio.

    A figure of k is left out where no item has k others.

    Args:
        users: int64 [P], a key of each ranked pair's user.
        by_item: The answers for these pairs by x.
        by_sid: The answers for these pairs by x_hat.
    """
    figures: dict[Metric, Estimate] = {}
    for k, (raw_rate, rate, ratio) in _RANKED.items():
        if by_item.items > k and len(users):
            raw, kept = hits(by_item.better, by_item.ties, k), hits(by_sid.better, by_sid.ties, k)
            figures[raw_rate] = user_mean(raw, users)
            figures[rate] = user_mean(kept, users)
            figures[ratio] = user_ratio(kept, raw, users)
    return figures
