"""The figures of a run by name: what they are called, one of them as a row, and all of them looked up.

Names, rulers and weightings are the values of the columns of the metrics table, see `drq_spark.schemas.METRICS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from math import isfinite

from drq_spark.errors import ConfigError, did_you_mean

ITEMS, EXPOSURE = "items", "exposure"
"""Values of metrics.weighting: what a code is weighted by."""


class Ruler(str, Enum):
    """What is perturbed; the values of metrics.ruler."""

    LATENT = "latent"
    INPUT = "input"
    AFTER = "after"


class Metric(str, Enum):
    """Names in metrics.metric; the formulas are in `drq_spark.formulas`."""

    ITEMS = "items"
    QUARANTINE_RATE = "quarantine_rate"
    UTILIZATION = "utilization"
    DEAD_CODES = "dead_codes"
    PERPLEXITY = "perplexity"
    INVERSE_SIMPSON = "inverse_simpson"
    GINI = "gini"
    EXPECTED_OVERLAP = "expected_overlap"
    PRICED_OVERLAP = "priced_overlap"
    EFFECTIVE_CAPACITY = "effective_capacity"
    DISTRIBUTION = "distribution"
    GEOMETRY = "geometry"
    UNIQUE_SIDS = "unique_sids"
    UNIQUE_SIDS_ENCODED = "unique_sids_encoded"
    MOVED_ITEMS = "moved_items"
    UNPLACED_ITEMS = "unplaced_items"
    DUPLICATE_RATE = "duplicate_rate"
    SHARED_RATE = "shared_rate"
    EXACT_DUPLICATE_RATE = "exact_duplicate_rate"
    EXCESS_DUPLICATE_RATE = "excess_duplicate_rate"
    LARGEST_BUCKET = "largest_bucket"
    COLLISION_MASS = "collision_mass"
    PREFIX_ENTROPY = "prefix_entropy"
    CONDITIONAL_ENTROPY = "conditional_entropy"
    OCCUPIED_PREFIXES = "occupied_prefixes"
    RELATIVE_MSE = "relative_mse"
    RELATIVE_MSE_ENCODED = "relative_mse_encoded"
    MEAN_COSINE = "mean_cosine"
    RESIDUAL_SHARE = "residual_share"
    RESIDUAL_SHARE_NEW = "residual_share_new"
    RESIDUAL_SHARE_UNSEEN = "residual_share_unseen"
    MEAN_MARGIN = "mean_margin"
    UNCERTAIN_SHARE = "uncertain_share"
    CODE_DRIFT = "code_drift"
    CHURN = "churn"
    CHURN_MATCHED = "churn_matched"
    SIGMA = "sigma"
    FLIP_RATE = "flip_rate"
    SID_SURVIVAL = "sid_survival"
    SEGMENT_THRESHOLD = "segment_threshold"
    HARMFUL_SHARED_RATE = "harmful_shared_rate"
    EXACT_DUPLICATE_BUCKET_RATE = "exact_duplicate_bucket_rate"
    BUCKET_SPREAD = "bucket_spread"
    NEIGHBOUR_RECALL_20 = "neighbour_recall_20"
    NEIGHBOUR_RECALL_200 = "neighbour_recall_200"
    RAW_HIT_RATE_20 = "raw_hit_rate_20"
    RAW_HIT_RATE_200 = "raw_hit_rate_200"
    HIT_RATE_20 = "hit_rate_20"
    HIT_RATE_200 = "hit_rate_200"
    RETENTION_20 = "retention_20"
    RETENTION_200 = "retention_200"
    EVENTS = "events"
    EVENTS_WITHOUT_USER = "events_without_user"
    EVENTS_WITHOUT_POSITION = "events_without_position"
    EVENTS_OF_UNKNOWN_ITEMS = "events_of_unknown_items"
    EVENTS_TIED = "events_tied"
    EVENTS_REPEATED = "events_repeated"
    EVENT_PAIRS = "event_pairs"
    EVENT_USERS = "event_users"
    JUDGING_USERS = "judging_users"
    BEHAVIOUR_PAIRS = "behaviour_pairs"
    AUC_RAW_UNIFORM = "auc_raw_uniform"
    AUC_RAW_POPULARITY = "auc_raw_popularity"
    AUC_SUM_UNIFORM = "auc_sum_uniform"
    AUC_SUM_POPULARITY = "auc_sum_popularity"
    AUC_CONCATENATION_UNIFORM = "auc_concatenation_uniform"
    AUC_CONCATENATION_POPULARITY = "auc_concatenation_popularity"
    AUC_PREFIX_UNIFORM = "auc_prefix_uniform"
    AUC_PREFIX_POPULARITY = "auc_prefix_popularity"


@dataclass(frozen=True)
class MetricRow:
    """A row of the metrics table; see `drq_spark.schemas.METRICS`."""

    metric: str
    level: int
    weighting: str
    eta: float | None
    value: float
    standard_error: float | None = None
    ruler: str | None = None


_TOLD = 3  # figures that a message lists


class Metrics:
    """The figures of a run, looked up by name; one that is not finite counts as missing.

    Figures under noise have a ruler. Where noise is asked for and no ruler is named, it is that on the latents.
    """

    def __init__(self, rows: Iterable[MetricRow]) -> None:
        self._rows = {
            (row.metric, row.level, row.weighting, row.eta, row.ruler): row for row in rows if isfinite(row.value)
        }

    def __repr__(self) -> str:
        return f"<Metrics: {len(self._rows)} figures>"

    def row(
        self,
        metric: Metric,
        level: int = 0,
        weighting: str = ITEMS,
        eta: float | None = None,
        ruler: Ruler | None = None,
    ) -> MetricRow | None:
        """The figure with its standard error, or None where the run has none."""
        if ruler is None and eta is not None:
            ruler = Ruler.LATENT
        return self._rows.get((metric.value, level, weighting, eta, None if ruler is None else ruler.value))

    def value(
        self,
        metric: Metric,
        level: int = 0,
        weighting: str = ITEMS,
        eta: float | None = None,
        ruler: Ruler | None = None,
    ) -> float | None:
        """The figure, or None where the run has none."""
        found = self.row(metric, level, weighting, eta, ruler)
        return None if found is None else found.value

    def metric(
        self,
        name: str,
        level: int = 0,
        weighting: str = ITEMS,
        eta: float | None = None,
        ruler: str | None = None,
    ) -> float:
        """One figure by the words of docs/figures.md, for people.

        Raises:
            ConfigError: no figure has this name, or the run has none of this level, weighting, eta and ruler.
        """
        _refuse_unknown(name, [metric.value for metric in Metric], "figure")
        if ruler is not None:
            _refuse_unknown(ruler, [known.value for known in Ruler], "ruler")
        found = self.value(Metric(name), level, weighting, eta, None if ruler is None else Ruler(ruler))
        if found is None:
            asked = MetricRow(name, level, weighting, eta, 0.0, ruler=ruler)
            raise ConfigError(f"there is no {_place(asked)}: {self._what_there_is(name, level)}")
        return found

    def _what_there_is(self, name: str, level: int) -> str:
        named = [row for row in self._rows.values() if row.metric == name]
        there = [_place(row) for row in sorted(named, key=lambda row: row.level != level)]
        more = f" and {len(there) - _TOLD} more" if len(there) > _TOLD else ""
        return f"there are {'; '.join(there[:_TOLD])}{more}" if there else f"these figures have no {name}"

    @property
    def rows(self) -> list[MetricRow]:
        """All figures; `pandas.DataFrame(found.rows)` makes a table of them."""
        return list(self._rows.values())

    def per_level(
        self,
        metric: Metric,
        levels: int,
        weighting: str = ITEMS,
        eta: float | None = None,
        ruler: Ruler | None = None,
    ) -> list[float | None]:
        """The figures of levels 1 .. L, None for those that the run has none of."""
        return [self.value(metric, level, weighting, eta, ruler) for level in range(1, levels + 1)]

    def on_every_level(self, metric: Metric, weighting: str, eta: float) -> list[MetricRow]:
        """The figures of all levels, 0 included; of those under noise the ones at `eta` on the latents."""
        return [
            row
            for row in self._rows.values()
            if (row.metric, row.weighting) == (metric.value, weighting)
            and row.eta in (None, eta)
            and row.ruler in (None, Ruler.LATENT.value)
        ]

    def by_ruler(self, metric: Metric, *rulers: Ruler, weighting: str = ITEMS) -> list[MetricRow]:
        """The figures under noise of these kinds: in the order of the rulers, then by size of the noise and level."""
        order = [ruler.value for ruler in rulers]
        found = [
            row
            for row in self._rows.values()
            if (row.metric, row.weighting) == (metric.value, weighting) and row.ruler in order
        ]
        return sorted(found, key=lambda row: (order.index(str(row.ruler)), row.eta or 0.0, row.level))


def _place(row: MetricRow) -> str:
    """A figure and all that tells it from others of its name: `gini (level=2, weighting='items')`."""
    said = {field.name: getattr(row, field.name) for field in fields(row)}
    words = [f"{name}={said[name]!r}" for name in ("level", "weighting", "eta", "ruler") if said[name] is not None]
    return f"{row.metric} ({', '.join(words)})"


def _refuse_unknown(name: str, known: Iterable[str], what: str) -> None:
    """Raises: ConfigError: it is not among the known ones."""
    names = list(known)
    if name not in names:
        raise ConfigError(f"no {what} is called {name!r}: {did_you_mean(name, names)}docs/figures.md has all of them")
