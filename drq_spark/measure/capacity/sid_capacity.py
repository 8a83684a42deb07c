"""Expected overlap and effective capacity of whole SIDs, in tables: exact where there are few of them, else drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.measure.aggregates import BucketSums, Scale
from drq_spark.measure.capacity.sid_draws import draw_sids
from drq_spark.measure.capacity.sid_positions import SidOverlap, SidPositions, capacity_of_sids, collision_masses
from drq_spark.measure.subject import Subject
from drq_spark.metrics import EXPOSURE, ITEMS, MetricRow


def whole_sid_capacity(
    subject: Subject, per_sid: DataFrame, buckets: BucketSums, scales: Sequence[Scale], *, quick: bool = False
) -> list[MetricRow]:
    """Expected overlap, effective capacity, distribution and geometry of whole SIDs: level 0, by items and exposure.

    O_pi = sum_s p_s^2 + sum_{s != t} p_s p_t OVL(s, t), the first part exact; the second from about
    `measure.overlap_items` draws, with its standard error, or exact where there are not more SIDs. OVL is that of the
    last level (its weights, its sigma) at the positions of `sid_positions`.

    Args:
        subject: What is measured.
        per_sid: Rows of `sid_counts`, best from a table: they are read up to three times.
        buckets: Their sums.
        scales: As `sigma.scales` gives them.
        quick: Whether half of the draws will do, with 1.4 times the standard error: pairs are what costs.

    Without a tokenizer there are no rows, for such external SIDs have no codewords.
    """
    if subject.tokenizer is None:
        return []
    masses = collision_masses(buckets)
    sids = per_sid.select("sid", ITEMS, EXPOSURE)
    draws = subject.config.measure.overlap_items // (2 if quick else 1)
    apart = _Sids(subject, SidPositions(subject.tokenizer, scales), max(1, draws))
    return capacity_of_sids(_overlaps(apart, sids, buckets, masses), masses, apart.positions)


@dataclass(frozen=True)
class _Sids:
    """How far SIDs are apart, and how many are drawn of too many."""

    subject: Subject
    positions: SidPositions
    draws: int

    def exact(self, sids: DataFrame, weightings: Iterable[str]) -> dict[str, SidOverlap]:
        """Overlaps from all pairs of these SIDs, for several weightings in one pass."""
        rows = sids.toArrow().sort_by("sid")
        return self.positions.exact(rows["sid"].to_numpy(), {name: rows[name].to_numpy() for name in weightings})

    def estimated(self, sids: DataFrame, weighting: str, total: float, mass: float) -> dict[str, SidOverlap]:
        """The overlap estimated from draws."""
        drawn = draw_sids(sids, weighting, total, self.draws, self.subject.config.seed)
        return {weighting: self.positions.estimated(drawn.sid, drawn.times, mass)}


def _overlaps(apart: _Sids, sids: DataFrame, buckets: BucketSums, masses: Mapping[str, float]) -> dict[str, SidOverlap]:
    most = apart.subject.config.measure.overlap_items
    if buckets.sids <= most:
        return apart.exact(sids, masses)
    found = apart.estimated(sids, ITEMS, buckets.all.items, masses[ITEMS])
    if EXPOSURE not in masses or buckets.all.exposure is None:
        return found
    shown = sids.where(F.col(EXPOSURE) > 0)
    if shown.limit(most + 1).count() <= most:
        return found | apart.exact(shown, [EXPOSURE])
    return found | apart.estimated(shown, EXPOSURE, buckets.all.exposure, masses[EXPOSURE])
