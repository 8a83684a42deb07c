"""The figures of a run by name, and what follows from them at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from drq_spark.metrics import Metric, MetricRow, Ruler
from drq_spark.page.numbers import finite


class Figures:
    """The figures of a run by name."""

    def __init__(self, figures: Sequence[MetricRow], sizes: tuple[int, ...], eta: float) -> None:
        self.sizes, self.eta = sizes, eta
        self._rows = {(row.metric, row.level, row.weighting, row.eta, row.ruler): row for row in figures}
        self.levels = range(1, len(sizes) + 1)

    def row(
        self, metric: Metric, level: int = 0, weighting: str = "items", eta: float | None = None
    ) -> MetricRow | None:
        """The figure, or None where it is missing or not finite."""
        found = self._rows.get((metric.value, level, weighting, eta, Ruler.LATENT.value if eta is not None else None))
        return found if found is not None and finite(found.value) is not None else None

    def value(self, metric: Metric, level: int = 0, weighting: str = "items", eta: float | None = None) -> float | None:
        """Its value."""
        found = self.row(metric, level, weighting, eta)
        return None if found is None else found.value

    def smallest(self, metric: Metric, ruler: Ruler = Ruler.LATENT) -> float | None:
        """The smallest noise that the metric is known for; on the latents only what is below the headline eta."""
        most = self.eta if ruler is Ruler.LATENT else inf
        known = [row.eta for row in self._rows.values() if (row.metric, row.ruler) == (metric.value, ruler.value)]
        return min((eta for eta in known if eta is not None and eta < most), default=None)

    def flips(self, level: int) -> tuple[str, MetricRow] | None:
        """Flip rate of a level under the smallest noise on the latents, or on the embeddings."""
        for ruler in (Ruler.LATENT, Ruler.INPUT):
            eta = self.smallest(Metric.FLIP_RATE, ruler)
            row = self._rows.get((Metric.FLIP_RATE.value, level, "items", eta, ruler.value))
            if row is not None and finite(row.value) is not None:
                return f"flip_rate of level {level} at {ruler.value} noise {eta:g}", row
        return None

    @property
    def distinct(self) -> float | None:
        """Different embeddings."""
        items = self.value(Metric.ITEMS)
        return None if items is None else items * (1 - (self.value(Metric.EXACT_DUPLICATE_RATE) or 0.0))

    def usable(self, level: int) -> float:
        """Codes that the items could use: equal embeddings cannot have different codes."""
        size = self.sizes[level - 1]
        return size if self.distinct is None else max(1.0, min(size, self.distinct))

    def used(self, level: int) -> float | None:
        """Codes in use."""
        rate = self.value(Metric.UTILIZATION, level)
        return None if rate is None else rate * self.sizes[level - 1]

    def evenness(self, level: int) -> float | None:
        """D among the codes in use: 1 / (sum pi^2 #{k: n_k > 0}); dead codes are another fault."""
        d, used = self.value(Metric.DISTRIBUTION, level), self.used(level)
        return d * self.sizes[level - 1] / used if d is not None and used else None
