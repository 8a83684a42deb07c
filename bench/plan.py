"""How far `drq plan` is off: predict all items of a catalogue from a sample of them, and count.

    python bench/plan.py [FOLDER] [--samples 5000 10000] [--codes 64 256 512] [--levels 2 3 4 5] [--seeds 2]
                         [--threads 1] [--balance 0.5] [--drq] [--to FOLDER]

FOLDER holds items.parquet (embedding); without it the made catalogues `tree` and `mixture` are measured. Samples are
random; fits are those of `drq plan`. Truths: "same", the tokenizer of the sample given to all items; "anew", one fitted
to a run's share of all items with the same few iterations; "run", like it with the iterations of a run; with --drq also
"drq", the default tokenizer without events, beam and all. Methods: the curve of `drq_spark.plan.extrapolation`,
smoothed Good-Toulmin with binomial smoothing (Orlitsky, Suresh and Wu 2016), and a straight line through ln(duplicate
rate) against ln(n) at n / 2 and n. "unseen" is the curve on the held-out items of the sample alone. A line: root mean
square of ln(predicted / true) and its median, for true rates of 0.2 % to 90 %, and the share of the intervals of the
curve that hold the truth.

--to appends one JSON line per shape to FOLDER/<catalogue>.jsonl and draws FOLDER/<catalogue>.png.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import binom

from drq_spark.arrays import F32, I64
from drq_spark.config import Config, load_config
from drq_spark.page.palette import level_colours
from drq_spark.plan.extrapolation import Occupancy, extrapolate, occupancy
from drq_spark.plan.grid import ITEMS_PER_CODE, fit_books_of, quick
from drq_spark.progress import SILENT
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.keys import codes_to_keys
from drq_spark.train.contract import TrainingData
from drq_spark.train.driver import fit_tokenizer, split

Row = dict[str, Any]
_ROWS, _DIM = 30_000, 24  # of the made catalogues
_SHOWN = (0.002, 0.9)


def tree(rows: int, dim: int) -> F32:
    """Three levels of clusters of Zipf sizes, 4 % near copies and 1 % exact ones."""
    rng, spectrum = np.random.default_rng(0), _spectrum(dim)
    x, node = np.zeros((rows, dim), np.float32), np.zeros(rows, np.int64)
    for width, scale in ((40, 1.0), (30, 0.5), (20, 0.25)):
        share = 1 / np.arange(1, width + 1)
        node = node * width + rng.choice(width, size=rows, p=share / share.sum())
        used, place = np.unique(node, return_inverse=True)
        x += (scale * rng.normal(size=(len(used), dim)).astype(np.float32) * spectrum)[place]
    x += 0.15 * rng.normal(size=x.shape).astype(np.float32) * spectrum
    near, exact = (np.flatnonzero(rng.random(rows) < share) for share in (0.04, 0.01))
    x[near] = x[rng.integers(rows, size=len(near))] + 0.01 * rng.normal(size=(len(near), dim)) * spectrum
    x[exact] = x[rng.integers(rows, size=len(exact))]
    return x


def mixture(rows: int, dim: int) -> F32:
    """Gaussians of Zipf sizes, one for eight rows."""
    rng, spectrum = np.random.default_rng(0), _spectrum(dim)
    share = 1 / np.arange(1, rows // 8 + 1) ** 0.8
    centres = rng.normal(size=(len(share), dim)).astype(np.float32) * spectrum
    chosen = rng.choice(len(share), size=rows, p=share / share.sum())
    return np.asarray(centres[chosen] + 0.3 * rng.normal(size=(rows, dim)).astype(np.float32) * spectrum)


def _spectrum(dim: int) -> F32:
    return (1 / np.sqrt(np.arange(1, dim + 1))).astype(np.float32)


def good_toulmin(seen: Occupancy, items: int, possible: float) -> float:
    """Duplicate rate by U + sum_j -(-t)^j P(Bin(k, 2 / (t + 2)) >= j) f_j, k = ln(n t^2 / (t - 1)) / (2 ln 3)."""
    t = items / seen.items - 1
    steps = int(np.log(seen.items * t * t / (t - 1)) / np.log(9)) if t > 1 else seen.times.max()
    kept = seen.times <= steps
    times, sids = seen.times[kept].astype(np.float64), seen.sids[kept]
    weight = binom.sf(times - 1, steps, 2 / (t + 2)) if t > 1 else np.ones(len(times))
    unique = seen.unique - float(((-t) ** times * weight * sids).sum())
    return 1 - float(np.clip(unique, seen.unique, min(possible, items))) / items


def straight_line(seen: Occupancy, items: int, possible: float) -> float:
    """Duplicate rate on the line through ln(rate) at n / 2 (expected, by the hypergeometric) and at n."""
    half, size = seen.items // 2, seen.items
    missed = np.where(
        size - seen.times >= half,
        gammaln(size - seen.times + 1) - gammaln(np.maximum(size - seen.times - half, 0) + 1),
        -np.inf,
    )
    none = np.exp(missed - gammaln(size + 1) + gammaln(size - half + 1))
    before, now = 1 - float((seen.sids * (1 - none)).sum()) / half, 1 - seen.unique / size
    slope = np.log(now / max(before, 1e-12)) / np.log(size / half) if now > 0 else 0.0
    return float(np.clip(now * (items / size) ** slope, 1 - possible / items, 1 - seen.unique / items))


def curve(seen: Occupancy, items: int, possible: float) -> float:
    """Duplicate rate of the package."""
    return extrapolate(seen, items, possible, 0).duplicate_rate.value


_METHODS: dict[str, Callable[[Occupancy, int, float], float]] = {
    "curve": curve, "Good-Toulmin": good_toulmin, "line": straight_line,
}  # fmt: skip


def data_of(x: F32, config: Config) -> tuple[TrainingData, I64]:
    """Rows split as in a run; the second part is which row each prepared one is."""
    keys = np.random.default_rng((config.seed, len(x))).permutation(len(x)).astype(np.int64)
    return split(Sample(x, "bench", keys), config), np.argsort(keys)


def encoded(tokenizer: Tokenizer, x: F32) -> NDArray[np.int32]:
    """SIDs int32 [n, L], block by block."""
    return np.concatenate([tokenizer.encode_latent(x[i : i + 4096]).codes for i in range(0, len(x), 4096)])


def keys_of(codes: NDArray[np.int32], size: int, level: int) -> I64:
    """Keys of the first levels."""
    return codes_to_keys(codes[:, :level], (size,) * level)


def measured(name: str, x: F32, options: argparse.Namespace) -> Iterator[Row]:
    """A row for each sample, K and L."""
    deepest = max(options.levels)
    sets = {"train.threads": options.threads, "tokenizer.name": "rq_kmeans", "tokenizer.balance": options.balance}
    for size in options.codes:
        config = load_config(options=sets)
        whole, _ = data_of(x, config)
        anew = encoded(fit_books_of(whole, quick(config, size, deepest), SILENT.progress), x)
        run_config = load_config(options={**sets, "tokenizer.codes": size, "tokenizer.levels": deepest})
        run = encoded(fit_books_of(whole, run_config, SILENT.progress), x)
        shipped = drq_codes(whole, x, size, options) if options.drq else {}
        for count in options.samples:
            if count * (1 - config.sample.holdout) < ITEMS_PER_CODE * size:
                continue
            for seed in range(options.seeds):
                config = load_config(options={**sets, "seed": seed})
                drawn = np.random.default_rng((seed, count)).permutation(len(x))[:count]
                data, order = data_of(x[drawn], config)
                same = encoded(fit_books_of(data, quick(config, size, deepest), SILENT.progress), x)
                mine = same[drawn[order]]
                for level in options.levels:
                    truths = {"same": same, "anew": anew, "run": run}
                    truths |= {"drq": shipped[level]} if shipped else {}
                    yield _row(name, size, level, mine, data.held_out_rows, truths) | {"seed": seed}


def drq_codes(whole: TrainingData, x: F32, size: int, options: argparse.Namespace) -> dict[int, NDArray[np.int32]]:
    """SIDs of the default tokenizer by number of levels: a beam looks at all of them, so each is a fit of its own."""
    found = {}
    for level in options.levels:
        shape = {"tokenizer.codes": size, "tokenizer.levels": level, "train.threads": options.threads}
        found[level] = encoded(fit_tokenizer(whole, load_config(options=shape)), x)
    return found


def _row(
    name: str, size: int, level: int, mine: NDArray[np.int32], held_out: int, truths: dict[str, NDArray[np.int32]]
) -> Row:
    keys, possible = keys_of(mine, size, level), float(size) ** level
    seen, items = occupancy(keys), len(truths["same"])
    found = extrapolate(seen, items, possible, 0)
    true = {truth: occupancy(keys_of(codes, size, level)) for truth, codes in truths.items()}
    return {
        "catalogue": name, "n": len(mine), "items": items, "K": size, "L": level,
        "in_sample": 1 - seen.unique / seen.items,
        **{method: rate(seen, items, possible) for method, rate in _METHODS.items()},
        "unseen": curve(occupancy(keys[:held_out]), items, possible),
        "low": found.duplicate_rate.low, "high": found.duplicate_rate.high,
        "shared": found.shared_rate.value, "shared_low": found.shared_rate.low, "shared_high": found.shared_rate.high,
        **{truth: 1 - one.unique / items for truth, one in true.items()},
        **{f"shared_{truth}": 1 - one.alone / items for truth, one in true.items()},
    }  # fmt: skip


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown: a line for each catalogue, n and truth."""
    heads = ("catalogue", "n", "N", "truth", "shapes", *_METHODS, "unseen", "in interval", "shared in interval")
    yield "| " + " | ".join(heads) + " |"
    yield "|---" * len(heads) + "|"
    for name, n in dict.fromkeys((row["catalogue"], row["n"]) for row in rows):
        for truth in (one for one in ("same", "anew", "run", "drq") if one in rows[0]):
            same = (row for row in rows if (row["catalogue"], row["n"]) == (name, n))
            mine = [row for row in same if _SHOWN[0] < row[truth] < _SHOWN[1]]
            if not mine:
                continue
            cells = [_error(mine, method, truth) for method in (*_METHODS, "unseen")]
            held = np.mean([row["low"] <= row[truth] <= row["high"] for row in mine])
            shared = np.mean([row["shared_low"] <= row[f"shared_{truth}"] <= row["shared_high"] for row in mine])
            start = f"| {name} | {n:,} | {mine[0]['items']:,} | {truth} | {len(mine)} | "
            yield start + " | ".join(cells) + f" | {held:.0%} | {shared:.0%} |"


def _error(rows: Sequence[Row], method: str, truth: str) -> str:
    errors = np.log([max(row[method], 1e-4) / row[truth] for row in rows])
    return f"{np.sqrt((errors**2).mean()):.2f} ({np.median(errors):+.2f})"


def plot(rows: Sequence[Row], path: Path) -> None:
    """Predicted with intervals against true, for each sample size."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sizes, levels = sorted({row["n"] for row in rows}), sorted({row["L"] for row in rows})
    shape = {"figsize": (5 * len(sizes), 4.6), "layout": "constrained"}
    figure, axes = plt.subplots(1, len(sizes), sharey=True, squeeze=False, **shape)
    for axis, n in zip(axes[0], sizes, strict=True):
        axis.plot([1e-3, 1], [1e-3, 1], color="#5b6270", lw=1)
        for level, (colour, _) in zip(levels, level_colours(len(levels)), strict=True):
            mine = [row for row in rows if (row["n"], row["L"]) == (n, level)]
            value, low, high = (np.array([max(row[key], 1e-5) for row in mine]) for key in ("curve", "low", "high"))
            style = {"fmt": "o", "ms": 4, "lw": 1, "color": colour, "label": f"L = {level}"}
            axis.errorbar([row["anew"] for row in mine], value, yerr=(value - low, high - value), **style)
        axis.set(xscale="log", yscale="log", xlim=(4e-3, 1), ylim=(2e-3, 1), title=f"from {n:,} items")
        axis.set_xlabel(f"duplicate rate of {rows[0]['items']:,} items, fitted anew")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("predicted, with interval")
    axes[0][0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--samples", type=int, nargs="+", default=[5000, 10_000])
    parser.add_argument("--codes", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--levels", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--balance", type=float, default=0.5)
    parser.add_argument("--drq", action="store_true")
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    if options.folder is None:
        catalogues = {"tree": tree(_ROWS, _DIM), "mixture": mixture(_ROWS, _DIM)}
    else:
        column = pq.read_table(options.folder / "items.parquet", columns=["embedding"])["embedding"]
        flat = np.array(column.combine_chunks().flatten(), np.float32)
        catalogues = {options.folder.name: flat.reshape(len(column), -1)}
    for name, x in catalogues.items():
        rows = list(measured(name, x, options))
        print("\n".join(summary(rows)), flush=True)
        if options.to is not None:
            options.to.mkdir(parents=True, exist_ok=True)
            with (options.to / f"{name}.jsonl").open("a") as lines:
                lines.writelines(json.dumps(row) + "\n" for row in rows)
            plot(rows, options.to / f"{name}.png")


if __name__ == "__main__":
    main()
