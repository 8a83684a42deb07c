"""Tables and plots of the comparison, from the JSON lines of `tokenizers.py`.

    python bench/tokenizer_page.py LINES FOLDER

Writes FOLDER/measured.md, and for every catalogue FOLDER/<catalogue>_use.png (use and capacity per level),
FOLDER/<catalogue>_front.png (relative error of unseen items against capacity and behaviour) and
FOLDER/<catalogue>_convergence.png (how the training of networks went).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Row = dict[str, Any]
_COLUMNS = {
    "relative_mse": "relative MSE", "unseen": "unseen", "recall@20": "recall@20", "perplexity": "perplexity / K",
    "k_eff": "K_eff / K", "unique": "unique", "auc_popularity": "AUC", "retention@20": "ret@20",
    "retention@200": "ret@200", "seconds": "s",
}  # fmt: skip
_MARKS = "osD^vP*Xh<>"


def main() -> None:
    """Read the lines, write the page and the plots."""
    lines, folder = Path(sys.argv[1]), Path(sys.argv[2])
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    page = ["# Measured", "", _HEAD]
    for catalogue in dict.fromkeys(row["catalogue"] for row in rows):
        mine = [row for row in rows if row["catalogue"] == catalogue]
        whole = _grouped([row for row in mine if row["dial"] is None])
        page += [f"## {catalogue}", "", *_table(whole), ""]
        _plot_use(whole, folder / f"{catalogue}_use.png")
        _plot_front(whole, folder / f"{catalogue}_front.png")
        page += [f"![Use of codes per level]({catalogue}_use.png)", ""]
        page += [f"![Error against capacity and behaviour]({catalogue}_front.png)", ""]
        if any(row.get("curves") for row in mine):
            _plot_convergence(whole, folder / f"{catalogue}_convergence.png")
            page += [f"![Training of the networks]({catalogue}_convergence.png)", ""]
        if dials := [row for row in mine if row["dial"] is not None]:
            page += ["The dial `tokenizer.balance` of `drq`, content only:", "", *_table(_grouped(dials)), ""]
    (folder / "measured.md").write_text("\n".join(page).rstrip() + "\n")


_HEAD = """\
Means over the seeds; below each table the largest spread (highest minus lowest). K = 256 and L = 3 unless the heading
says otherwise. `relative MSE`, perplexity, K_eff (eta 0.5), unique SIDs, recall and behaviour: fitted to all items.
`unseen`: relative MSE on a quarter of the items, kept away from another fit. `AUC`: cosine of mean-centred SID
embeddings (sum of the decode table rows), pairs of users that no training saw against popularity-matched partners.
`ret@k`: hit rate of those pairs by x̂ over that by x. `s`: seconds of the fit, beside
whatever else the machine did. Rows of FAISS have no table refit.
The plots of training show what judged the networks as they learned; VAE: without codes. `make bench-tokenizers` makes
this page and its lines, [measured.jsonl](measured.jsonl), one a fit, for three seeds (dials: one); what has more was
appended by `bench/tokenizers.py --to`. Rows of `drq`, but not those of its dial, are of its settings of 2026-11-28 and
of a machine three times as fast: their seconds are not those of the others.
"""


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each tokenizer over the seeds, under the name to show."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        name = row["tokenizer"] if row["dial"] is None else f"{row['dial']:g}"
        without = row["tokenizer"] == "drq" and not row["events"] and row["dial"] is None
        groups[f"{name}, no events" if without else name].append(row)
    return groups


def _table(groups: dict[str, list[Row]]) -> list[str]:
    """Markdown lines."""
    columns = [key for key in _COLUMNS if all(key in row for rows in groups.values() for row in rows)]
    lines = ["| | seeds | " + " | ".join(_COLUMNS[key] for key in columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name, rows in groups.items():
        cells = [_cell(key, np.mean([row[key] for row in rows], axis=0)) for key in columns]
        lines.append(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")
    seeds = max(len(rows) for rows in groups.values())
    if seeds > 1:
        spread = {
            key: max(np.ptp([row[key] for row in rows], axis=0).max() for rows in groups.values()) for key in columns
        }
        told = ", ".join(f"{_COLUMNS[key]} {value:.3f}" for key, value in spread.items() if key != "seconds")
        lines += ["", f"Largest spread over the seeds of a tokenizer: {told}."]
    return lines


def _cell(key: str, value: Any) -> str:
    digits = {"seconds": 0, "perplexity": 2, "k_eff": 2, "retention@20": 2, "retention@200": 2}.get(key, 3)
    return " ".join(
        f"{part:.{digits}f}".removeprefix("0") if digits else f"{part:.0f}" for part in np.atleast_1d(value)
    )


def _plot_use(groups: dict[str, list[Row]], path: Path) -> None:
    """Perplexity and capacity per level, a line of marks for each tokenizer."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axis, key, title in zip(axes, ("perplexity", "k_eff"), ("perplexity / K", "K_eff / K, eta 0.5"), strict=True):
        for mark, (name, rows) in zip(_MARKS, groups.items(), strict=False):
            values = np.mean([row[key] for row in rows], axis=0)
            axis.plot(range(1, len(values) + 1), values, marker=mark, label=name, lw=2.5 if name == "drq" else 1.2)
        axis.set(title=title, xlabel="level", ylim=(0, 1.02), xticks=range(1, len(values) + 1))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_front(groups: dict[str, list[Row]], path: Path) -> None:
    """Better is up and to the left."""
    keys = {"k_eff": "K_eff / K, geometric mean of the levels", "auc_popularity": "AUC, popularity-matched",
            "retention@200": "retention@200"}  # fmt: skip
    figure, axes = plt.subplots(1, len(keys), figsize=(14, 4.2), layout="constrained")
    for axis, (key, label) in zip(axes, keys.items(), strict=True):
        for mark, (name, rows) in zip(_MARKS, groups.items(), strict=False):
            y = np.mean([np.exp(np.mean(np.log(row[key]))) for row in rows])
            size = 120 if name == "drq" else 55
            axis.scatter(np.mean([row["unseen"] for row in rows]), y, marker=mark, s=size, label=name)
        axis.set(xlabel="relative MSE of unseen items", title=label)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_convergence(groups: dict[str, list[Row]], path: Path) -> None:
    """A thin line for each seed: what judged the networks while they were trained on 75 % of the items."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    colours = iter(plt.colormaps["tab10"].colors)
    for name, rows in groups.items():
        trained = [row["curves"] for row in rows if row.get("curves")]
        colour = next(colours) if trained else None
        for number, curves in enumerate(trained):
            for stage, curve in curves.items():
                axis, key = (axes[1], "loss") if stage == "contrast" else (axes[0], "relative_mse")
                label = f"{name}: {stage}" if number == 0 else None
                axis.plot(curve["steps"], curve[key], color=colour, lw=1.2, label=label)
    axes[0].set(title="relative MSE of unseen items", xlabel="optimizer step")
    axes[1].set(title="InfoNCE of a batch of pairs", xlabel="optimizer step")
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
