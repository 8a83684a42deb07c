"""Figures of runs in one table: means over seeds, winners beyond the noise, the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student

from drq_spark.arrays import F64
from drq_spark.config import Measure
from drq_spark.metrics import ITEMS, Metric, MetricRow, Metrics, Ruler

Better = Literal["high", "low"]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: Its name.
        title: Its heading.
        better: Which end wins.
        axis: The one of the three axes of quality that it stands for in the front, or None.
        cost: Whether it is what a tokenizer costs: shown, and no part of how good it is.
    """

    key: str
    title: str
    better: Better
    axis: str | None = None
    cost: bool = False


COLUMNS = (
    Column("robust_capacity", "K_eff / K, noise on x", "high", "symbolic robustness"),
    Column("capacity", "K_eff / K, noise on z", "high"),
    Column("gini", "Gini", "low"),
    Column("sid_survival", "SIDs that survive", "high"),
    Column("relative_mse", "relative MSE", "low", "reconstruction"),
    Column("unseen", "left of unseen items", "low"),
    Column("recall_20", "recall@20", "high"),
    Column("retention_20", "retention@20", "high"),
    Column("retention_200", "retention@200", "high", "behaviour"),
    Column("auc", "AUC", "high"),
    Column("excess_duplicates", "surplus SIDs", "low"),
    Column("train_seconds", "training, s", "low", cost=True),
    Column("assign_micros", "assigning, µs an item", "low", cost=True),
)
"""What is compared. By level: capacity and Gini are judged by their mean over the levels (geometric for capacity)."""


@dataclass(frozen=True)
class Result:
    """One measured run: the tokenizer's name, its seed, and per column one number a level, or one in all."""

    name: str
    seed: int
    values: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Cell:
    """A place in the table.

    Attributes:
        shown: Means over the seeds, one a level or one in all.
        judged: The number of each seed by which columns are judged, in the order of the seeds.
        winner: Whether it beats every other tokenizer by more than the noise.
    """

    shown: tuple[float, ...]
    judged: tuple[float, ...]
    winner: bool

    @property
    def mean(self) -> float:
        """The mean of the judged numbers."""
        return float(np.mean(self.judged))


@dataclass(frozen=True)
class Comparison:
    """The table: tokenizers in the order given, columns that at least one of them has.

    `cells` leaves out what a tokenizer does not have; `front` names the tokenizers that no other one matches or beats
    on every axis.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[str, str], Cell]
    front: tuple[str, ...]


def values_of(
    figures: Sequence[MetricRow], codebook_sizes: Sequence[int], settings: Measure
) -> dict[str, tuple[float, ...]]:
    """The compared numbers of one run by column; columns that the run has no figures for are left out.

    For noise on the embeddings, which is the same for every tokenizer, the middle one of `measure.rhos` counts.
    """
    rho = settings.rhos[len(settings.rhos) // 2] if settings.rhos else None
    metrics, levels = Metrics(figures), len(codebook_sizes)

    def one(metric: Metric, eta: float | None = None, ruler: Ruler | None = None) -> list[float | None]:
        return [metrics.value(metric, 0, ITEMS, eta, ruler)]

    def capacity(eta: float | None, ruler: Ruler) -> list[float | None]:
        values = metrics.per_level(Metric.EFFECTIVE_CAPACITY, levels, ITEMS, eta, ruler)
        return [None if v is None else v / size for v, size in zip(values, codebook_sizes, strict=True)]

    wanted = {
        "robust_capacity": capacity(rho, Ruler.INPUT),
        "capacity": capacity(settings.headline_eta, Ruler.LATENT),
        "gini": metrics.per_level(Metric.GINI, levels),
        "sid_survival": one(Metric.SID_SURVIVAL, rho, Ruler.INPUT),
        "relative_mse": one(Metric.RELATIVE_MSE),
        "unseen": one(Metric.RESIDUAL_SHARE_UNSEEN),
        "recall_20": one(Metric.NEIGHBOUR_RECALL_20),
        "retention_20": one(Metric.RETENTION_20),
        "retention_200": one(Metric.RETENTION_200),
        "auc": one(Metric.AUC_SUM_POPULARITY),
        "excess_duplicates": one(Metric.EXCESS_DUPLICATE_RATE),
    }
    whole = {key: [v for v in values if v is not None] for key, values in wanted.items()}
    return {key: tuple(values) for key, values in whole.items() if values and len(values) == len(wanted[key])}


def costs_of(seconds: Mapping[str, float], items: int | None) -> dict[str, tuple[float, ...]]:
    """What a run cost by column: wall-clock seconds of training, and of assigning one item with its share of start-up.

    Args:
        seconds: By step.
        items: That were assigned.
    """
    costs = {"train_seconds": seconds.get("train")}
    if items and "assign" in seconds:
        costs["assign_micros"] = 1e6 * seconds["assign"] / items
    return {key: (value,) for key, value in costs.items() if value is not None}


def compared(results: Sequence[Result], every: Sequence[Column] = COLUMNS) -> Comparison:
    """The table of these results; every tokenizer has the same seeds.

    It has the columns that some tokenizer has a figure for under every seed.
    """
    names = tuple(dict.fromkeys(result.name for result in results))
    seeds = tuple(dict.fromkeys(result.seed for result in results))
    by_place = {(result.name, result.seed): result.values for result in results}
    cells: dict[tuple[str, str], Cell] = {}
    for column in every:
        values = {
            name: [by_place[name, seed][column.key] for seed in seeds]
            for name in names
            if all(column.key in by_place[name, seed] for seed in seeds)
        }
        judged = {name: tuple(judged_value(column, row) for row in rows) for name, rows in values.items()}
        best = winner(judged, column.better)
        for name, rows in values.items():
            shown = tuple(np.mean(rows, axis=0).tolist())
            cells[name, column.key] = Cell(shown, judged[name], name == best and not column.cost)
    columns = tuple(column for column in every if any(key == column.key for _, key in cells))
    return Comparison(names, seeds, columns, cells, front(names, columns, cells))


def judged_value(column: Column, values: Sequence[float]) -> float:
    """One number of several levels: the geometric mean of capacities, else the mean."""
    if column.key in ("capacity", "robust_capacity"):
        return float(np.exp(np.mean(np.log(values))))
    return float(np.mean(values))


def winner(judged: Mapping[str, Sequence[float]], better: Better) -> str | None:
    """The one that is ahead of every other by more than the noise; None where there is none, or noise is not known.

    Noise of a difference over S seeds: the half-width of the 95 % confidence interval of its mean, t_{S-1} sd / sqrt S,
    of the differences seed by seed (both saw the same sample). With one seed it is not known.

    >>> winner({"a": [0.50, 0.52], "b": [0.40, 0.42]}, "high"), winner({"a": [0.5], "b": [0.4]}, "high")
    ('a', None)
    """
    if len(judged) < 2:
        return None
    sign = 1.0 if better == "high" else -1.0
    rows = {name: sign * np.asarray(values, np.float64) for name, values in judged.items()}
    best = max(rows, key=lambda name: float(rows[name].mean()))
    beaten = all(_ahead(rows[best] - row) for name, row in rows.items() if name != best)
    return best if beaten else None


def _ahead(differences: F64) -> bool:
    seeds = len(differences)
    if seeds < 2:
        return False
    noise = student.ppf(0.5 + _CONFIDENCE / 2, seeds - 1) * differences.std(ddof=1) / np.sqrt(seeds)
    return bool(differences.mean() > noise)


def leads(comparison: Comparison) -> dict[str, list[Column]]:
    """The columns in which each tokenizer has the best mean, by more than the noise or not; of those that lead in some.

    Most leads come first. In costs, ties, and columns that only one tokenizer has, nobody leads.
    """
    found: dict[str, list[Column]] = {}
    for column in comparison.columns:
        known = [name for name in comparison.names if (name, column.key) in comparison.cells]
        heights = {name: _height(column, comparison.cells[name, column.key]) for name in known}
        best = [name for name, height in heights.items() if height == max(heights.values())]
        if not column.cost and len(known) > 1 and len(best) == 1:
            found.setdefault(best[0], []).append(column)
    return dict(sorted(found.items(), key=lambda lead: -len(lead[1])))


def front(names: Sequence[str], columns: Sequence[Column], cells: Mapping[tuple[str, str], Cell]) -> tuple[str, ...]:
    """Tokenizers that no other one equals or beats on every axis and beats on one; by their means.

    A tokenizer without a figure on an axis counts as last there.
    """
    axes = [column for column in columns if column.axis is not None]
    points = np.array([[_height(column, cells.get((name, column.key))) for column in axes] for name in names])
    points = points.reshape(len(names), len(axes))
    kept = []
    for place, name in enumerate(names):
        as_good, better = (points >= points[place]).all(axis=1), (points > points[place]).any(axis=1)
        if not (as_good & better).any():
            kept.append(name)
    return tuple(kept)


def _height(column: Column, cell: Cell | None) -> float:
    """The mean of a cell, negative where a low one is better: the higher, the better."""
    if cell is None:
        return float("-inf")
    return cell.mean if column.better == "high" else -cell.mean
