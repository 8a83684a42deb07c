"""What has become of the events, as figures."""

from __future__ import annotations

from drq_spark.inputs.event_account import EventAccount
from drq_spark.metrics import ITEMS, Metric, MetricRow


def event_figures(account: EventAccount | None) -> list[MetricRow]:
    """A row for every count; none without events."""
    if account is None:
        return []
    counts = {
        Metric.EVENTS: account.rows,
        Metric.EVENTS_WITHOUT_USER: account.without_user,
        Metric.EVENTS_WITHOUT_POSITION: account.without_position,
        Metric.EVENTS_OF_UNKNOWN_ITEMS: account.unknown,
        Metric.EVENTS_TIED: account.tied,
        Metric.EVENTS_REPEATED: account.repeated,
        Metric.EVENT_PAIRS: account.pairs,
        Metric.EVENT_USERS: account.users,
        Metric.JUDGING_USERS: account.judging_users,
    }
    return [MetricRow(metric.value, 0, ITEMS, None, float(count)) for metric, count in counts.items()]
