"""What the rules of advice look at: the figures of a run, and what follows from them at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from drq_spark.metrics import ITEMS, Metric, MetricRow, Metrics, Ruler


class Evidence:
    """The figures of a run with the codes it has and the eta of its headline figures."""

    def __init__(self, figures: Sequence[MetricRow], sizes: tuple[int, ...], eta: float) -> None:
        self.figures, self.sizes, self.eta = Metrics(figures), sizes, eta
        self.levels = range(1, len(sizes) + 1)

    def smallest(self, metric: Metric, ruler: Ruler = Ruler.LATENT) -> float | None:
        """The smallest noise that the metric is known for; on the latents only what is below the headline eta."""
        most = self.eta if ruler is Ruler.LATENT else inf
        known = [row.eta for row in self.figures.by_ruler(metric, ruler)]
        return min((eta for eta in known if eta is not None and eta < most), default=None)

    def flips(self, level: int) -> tuple[str, MetricRow] | None:
        """Flip rate of a level under the smallest noise on the latents, or on the embeddings."""
        for ruler in (Ruler.LATENT, Ruler.INPUT):
            eta = self.smallest(Metric.FLIP_RATE, ruler)
            row = self.figures.row(Metric.FLIP_RATE, level, ITEMS, eta, ruler)
            if row is not None:
                return f"{Metric.FLIP_RATE.value} of level {level} at {ruler.value} noise {eta:g}", row
        return None

    @property
    def distinct(self) -> float | None:
        """Number of different embeddings."""
        items = self.figures.value(Metric.ITEMS)
        return None if items is None else items * (1 - (self.figures.value(Metric.EXACT_DUPLICATE_RATE) or 0.0))

    def usable(self, level: int) -> float:
        """Number of codes that the items could use: equal embeddings cannot have different codes."""
        size = self.sizes[level - 1]
        return size if self.distinct is None else max(1.0, min(size, self.distinct))

    def used(self, level: int) -> float | None:
        """Number of codes in use."""
        rate = self.figures.value(Metric.UTILIZATION, level)
        return None if rate is None else rate * self.sizes[level - 1]

    def evenness(self, level: int) -> float | None:
        """D among the codes in use: 1 / (sum pi^2 #{k: n_k > 0}); dead codes are another fault."""
        d, used = self.figures.value(Metric.DISTRIBUTION, level), self.used(level)
        return d * self.sizes[level - 1] / used if d is not None and used else None
