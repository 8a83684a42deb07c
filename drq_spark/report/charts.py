"""The charts of the page. Each tells how to read it and what is good; none shows a word from the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from drq_spark.page.drawing import Row, bar_rows, right_labels, set_ticks, steps
from drq_spark.page.elements import Chart
from drq_spark.page.numbers import number, percent, three_digits
from drq_spark.page.svg import TEXT, axes, colour, inline

_POINTS = 160  # of one curve: a finer one would not look different
Counts = NDArray[np.int64] | NDArray[np.float64]
_MARKERS = "os^Dvphd<>*X"


def usage(level: int, items: NDArray[np.int64], exposure: NDArray[np.float64] | None, lowest: float) -> Chart:
    """Codes of a level from the most to the least used, as multiples of even use; `lowest` is the foot of the axis."""
    drawn = axes(190, left=46, top=12)
    drawn.set(yscale="log", xlim=(0, 1), ylim=(lowest, max(2.0, 1.25 * max(_ratios(items).max(), 1.0))))
    if exposure is not None and exposure.sum() > 0:
        drawn.set_ylim(top=max(drawn.get_ylim()[1], 1.25 * _ratios(exposure).max()))
        _curve(drawn, _ratios(exposure), "exposure", 1.4)
    _curve(drawn, _ratios(items), "effective", 2.2)
    drawn.axhline(1.0, color=colour("muted"), linewidth=1, dashes=(4, 3))
    drawn.annotate(
        "even use", (1, 1), (-2, 4), textcoords="offset points", ha="right", color=colour("muted"), size=TEXT
    )
    set_ticks(
        drawn.yaxis, [place for place in steps(*drawn.get_ylim()) if place > lowest], lambda value: f"{number(value)}×"
    )
    set_ticks(drawn.xaxis, [0, 0.25, 0.5, 0.75, 1], lambda value: f"{100 * value:.0f} %")
    drawn.set_xlabel(f"share of the {number(len(items))} codes", size=TEXT, color=colour("muted"), labelpad=2)
    unused = int((items == 0).sum())
    words = (
        f"{number(unused)} of {number(len(items))} codes unused" if unused else f"all {number(len(items))} codes in use"
    )
    most = number(_ratios(items).max())
    label = f"Level {level}: codes sorted by use; {words}, the most used holds {most} times the even share"
    return Chart(f"Level {level}: {words}", "", inline(drawn, f"usage-{level}", label))


def lowest_ratio(all_counts: Sequence[Counts]) -> float:
    """Foot of the axis for all levels: the decade below the least used code, at most four below even use."""
    least = min((float(_ratios(c)[_ratios(c) > 0].min()) for c in all_counts if c.sum() > 0), default=0.1)
    return float(10.0 ** np.floor(np.log10(min(max(least, 1.001e-4), 0.5))))


def capacity(rows: Sequence[tuple[int, int, float, float]], weighting: str, eta: float) -> Chart:
    """From the codes of each level down to what uneven use and closeness leave; a row is (level, K, D, G)."""
    bars: list[Row] = []
    for level, size, d, g in rows:
        left = d * g
        bars += [
            Row(f"level {level}: K", ((1.0, "line"),), number(size)),
            Row("uneven use", ((d, ""), (1 - d, "uneven")), f"− {three_digits(size * (1 - d))}"),
            Row("too close", ((left, ""), (d - left, "close")), f"− {three_digits(size * (d - left))}"),
            Row("K_eff", ((left, "effective"),), f"= {three_digits(size * left)}, {percent(left)}"),
            Row("", (), ""),
        ]
    words = "; ".join(
        f"level {level} keeps {percent(d * g)}, {percent(d - d * g)} lost to closeness, {percent(1 - d)} to uneven use"
        for level, _, d, g in rows
    )
    return Chart(
        f"Capacity by {weighting}: what is left of K",
        f"From all K codes of a level to K_eff, the codes that still count at η = {number(eta)}. A long last bar is "
        "good; the longer of the two losses is the one to work on.",
        bar_rows(
            bars[:-1], f"capacity-{weighting}", f"Effective share of the codes by {weighting}: {words}",
            left=74, right=92, limit=1.0, pitch=18,
        ),
        (
            ("uneven", "lost to uneven use, unused codes included"),
            ("close", "lost to codewords too close to each other"),
            ("effective", "effective"),
        ),
    )  # fmt: skip


def capacity_curve(
    curves: Sequence[tuple[int, int, Sequence[float], Sequence[float]]], weighting: str, eta: float
) -> Chart:
    """Effective share of the codes against the perturbation; a curve is (level, K, etas, K_eff)."""
    drawn = axes(230, left=46, right=56, top=12)
    lowest = min(min(value) / size for _, size, _, value in curves)
    drawn.set(xscale="log", yscale="log", ylim=(lowest / 1.3, 1.25))
    etas = sorted({value for _, _, scales, _ in curves for value in scales})
    drawn.set_xlim(etas[0] / 1.06, etas[-1] * 1.06)
    drawn.axvline(eta, color=colour("muted"), linewidth=1, dashes=(4, 3))
    for level, size, scales, values in curves:
        shares = [value / size for value in values]
        marker = _MARKERS[(level - 1) % len(_MARKERS)]
        drawn.plot(
            scales, shares, color=colour(f"level-{level}"), marker=marker, markersize=5, linewidth=1.8, clip_on=False
        )
    edge = drawn.get_xlim()[1]
    ends = [(f"level {level}", edge, values[-1] / size, f"level-{level}") for level, size, _, values in curves]
    right_labels(drawn, sorted(ends, key=itemgetter(2)))  # from the bottom up
    set_ticks(drawn.xaxis, etas, number)
    set_ticks(drawn.yaxis, steps(*drawn.get_ylim()), percent)
    drawn.set_xlabel("η, size of the perturbation", size=TEXT, color=colour("muted"), labelpad=2)
    words = "; ".join(
        f"level {level} from {percent(v[0] / size)} to {percent(v[-1] / size)}" for level, size, _, v in curves
    )
    return Chart(
        f"Capacity by {weighting} as embeddings move",
        "K_eff as a share of K, when every embedding is shaken by η times its natural spread. Curves that stay "
        "high are good; a steep fall means that small changes flip codes. "
        f"The dashed line is the headline η, {number(eta)}.",
        inline(drawn, f"curve-{weighting}", f"Effective share of the codes over eta by {weighting}: {words}"),
    )


def collisions(surplus: float, exact: float | None, shared: float | None) -> Chart:
    """The two collision rates, and the part of the first that no tokenizer can avoid where embeddings are known."""
    rows = [Row("surplus", ((exact or 0.0, "uneven"), (surplus - (exact or 0.0), "close")), percent(surplus))]
    words, key = f"Collisions: surplus {percent(surplus)} of items", [("close", "surplus")]
    if exact is not None:
        words += f", of which {percent(exact)} are exact duplicates"
        key = [("uneven", "exact duplicates, unavoidable"), ("close", "surplus that the tokenizer adds")]
    if shared is not None:
        rows.append(Row("sharing", ((shared, "effective"),), percent(shared)))
        words += f"; sharing {percent(shared)}"
        key.append(("effective", "items that share a SID"))
    return Chart(
        "Items that collide",
        "Surplus: items that would have to go for all SIDs to be unique. Sharing: items whose SID some other item has. "
        "Short is good, but nothing can push the surplus below the exact duplicates: equal embeddings get equal SIDs.",
        bar_rows(rows, "collisions", words),
        tuple(key),
    )


def entropies(rows: Sequence[tuple[int, float, float]]) -> Chart:
    """Information each level adds, beside the most that its codes can carry; a row is (level, nats, ln K)."""
    bars = [
        Row(
            f"level {level}",
            ((min(nats, most), "effective"), (max(0.0, most - nats), "line")),
            f"{nats:.3g} of {most:.3g}",
        )
        for level, nats, most in rows
    ]
    words = "; ".join(f"level {level} {nats:.3g} of {most:.3g} nats" for level, nats, most in rows)
    return Chart(
        "New information per level, in nats",
        "H(code | codes before it): how uncertain the next code is once the earlier ones are known, against ln K. "
        "Long is good; deep levels run short when the catalogue has too few items to fill the prefixes.",
        bar_rows(bars, "entropies", f"Conditional entropy per level: {words}", right=76),
        (("effective", "carried"), ("line", "room left up to ln K")),
    )


def residuals(shares: Sequence[tuple[int, float]]) -> Chart:
    """What is left of the latents' spread after each level; a row is (level, share)."""
    rows = [Row("at first", ((1.0, "uneven"),), percent(1.0))]
    rows += [Row(f"after {level}", ((left, "effective"),), percent(left)) for level, left in shares]
    words = "; ".join(f"after level {level} {percent(left)}" for level, left in shares)
    return Chart(
        "What the codes have not yet explained",
        "Squared distance between latent and codes so far, as a share of the latents' spread. Each level should take a "
        "clear bite; one that does not is wasted.",
        bar_rows(rows, "residuals", f"Residual share per level: {words}", right=62),
    )


def churn(rows: Sequence[tuple[int, float, float | None]]) -> Chart:
    """Items whose code changed since the previous run, before and after matching; a row is (level, raw, matched)."""
    bars = [
        Row(f"level {level}", ((matched or 0.0, "close"), (raw - (matched or 0.0), "uneven")), percent(raw))
        for level, raw, matched in rows
    ]
    words = "; ".join(
        f"level {level} {percent(raw)}" + (f", {percent(matched)} after renaming" if matched is not None else "")
        for level, raw, matched in rows
    )
    return Chart(
        "Items whose code changed",
        "Short is good: models that learned the old codes must learn the changed ones again. Renamed codes can be "
        "mapped back; real movement cannot.",
        bar_rows(bars, "churn", f"Churn per level: {words}", limit=1.0),
        (("close", "really moved to another cluster"), ("uneven", "same cluster under a new code")),
    )


def _ratios(counts: Counts) -> NDArray[np.float64]:
    """Use as multiples of even use, most used first; zeros where nothing is counted."""
    ordered = np.sort(counts.astype(np.float64))[::-1]
    return np.asarray(ordered * len(ordered) / max(ordered.sum(), 1e-300))


def _curve(drawn: Axes, ratios: NDArray[np.float64], name: str, width: float) -> None:
    """A falling curve over the used codes, thinned out, that drops to the foot where the used codes end."""
    used = int((ratios > 0).sum())
    if not used:
        return
    kept = np.unique(np.concatenate([np.linspace(0, used - 1, _POINTS), np.geomspace(1, used, 24) - 1]).astype(int))
    x = [0.0, *((kept + 0.5) / len(ratios)), used / len(ratios), used / len(ratios)]
    y = [ratios[0], *ratios[kept], ratios[used - 1], drawn.get_ylim()[0] / 10]
    drawn.plot(x, y, color=colour(name), linewidth=width, solid_joinstyle="round")
