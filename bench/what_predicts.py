"""Which figures of SIDs go with what downstream models make of them, over tokenizers, dials and seeds, without Spark.

    python bench/what_predicts.py FOLDER [FOLDER ..] [--models tiger din_sid] [--seeds 3] [--first-seed 0] [--epochs 6]
                                  [--threads 1] [--only NAME ..] [--spread 8] [--set KEY=VALUE ..] [--to FILE]
                                  [--read FILE]

FOLDER as for `tokenizers.py`. Baskets are users; of those that no tokenizer learns from, a fifth, the last item tests
and the one before it validates; everything else trains. Tokenizers are fitted to all items, with the pairs of the other
baskets where they learn from events, and judged by `judge.py`; then models of `drq probe` are trained on their SIDs.
--spread adds a point a fit: its SIDs moved apart over so many candidates, as `collisions.policy: spread` does; --set
are settings of all fits, and then no dial is tried. --to appends a JSON line a point; --read takes the points from such
a file and only prints what they tell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import hashes, is_judge, load
from judge import Judge

from drq_spark.arrays import I32, I64
from drq_spark.config import load_config
from drq_spark.formulas.hit_ranks import target_ranks
from drq_spark.formulas.rank_correlation import rank_correlation
from drq_spark.kinds import KINDS
from drq_spark.probe.behaviour_arrays import numbers_within_sids, other_items, trained_events
from drq_spark.probe.behaviour_data import NO_ITEM, BehaviourData, Candidates, Questions, Sequences
from drq_spark.probe.downstream_figures import ranking_figures, recommendation_figures
from drq_spark.probe.downstream_models import MODELS
from drq_spark.probe.model_contract import Effort
from drq_spark.probe.questions_asked_worker import DEEPEST
from drq_spark.probe.what_predicts import without_seed_means
from drq_spark.progress import SILENT
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.apart import apart_codes
from drq_spark.train.driver import fit_tokenizer, split
from drq_spark.train.runtime import torch_threads

HISTORY = 50
_GOOD = {"relative_mse": -1, "perplexity": 1, "k_eff": 1, "unique": 1, "recall@20": 1, "perplexity_by_exposure": 1,
         "retention@20": 1, "retention@200": 1, "auc_popularity": 1, "auc_uniform": 1}  # fmt: skip
"""Figures of `Judge`, and which end is good."""
DIALS: dict[str, tuple[float | None, ...]] = {"drq": (None, 0.0, 0.8), "rq_kmeans": (None, 0.5), "drq_vae": (None, 0.5)}
"""Values of `tokenizer.balance` that are tried, None for what it is without one."""
_HEADLINES = {"recommend": ("ndcg_10", "recall_50"), "rank": ("gauc",)}


@dataclass(frozen=True)
class Events:
    """Baskets of a folder as rows of its items."""

    training: Sequences
    validation: Questions
    test: Questions

    @classmethod
    def of(cls, folder: Path) -> Events:
        """Split them."""
        ids = pq.read_table(folder / "items.parquet", columns=["item_id"])["item_id"].to_pylist()
        row_of = {str(item): row for row, item in enumerate(ids)}
        table = pq.read_table(folder / "events.parquet")
        names, basket = np.unique([str(value) for value in table["basket_id"].to_pylist()], return_inverse=True)
        item = np.array([row_of.get(str(value), -1) for value in table["item_id"].to_pylist()], np.int32)
        order = np.lexsort((np.asarray(table["position"]), basket))
        order = order[item[order] >= 0]
        item, basket = item[order], basket[order]
        judges = is_judge(hashes(names))[basket]
        length = np.bincount(basket, minlength=len(names))[basket]
        begins = np.flatnonzero(np.diff(basket, prepend=-1))
        place = np.arange(len(basket)) - np.repeat(begins, np.diff(begins, append=len(basket)))
        behind = np.where(judges & (length >= 3), length - 1 - place, 2)
        trains = behind >= 2
        starts = np.flatnonzero(np.diff(basket[trains], prepend=-1))
        training = Sequences(np.append(starts, trains.sum()).astype(np.int64), item[trains])
        weights = trained_events(training, len(row_of))
        asked = (_asked(item, basket, place, np.flatnonzero(behind == part), weights) for part in (1, 0))
        return cls(training, *asked)


def _asked(item: I32, basket: I64, place: I64, at: I64, weights: I64) -> Questions:
    """Events at some places as questions."""
    before = at[:, None] - np.arange(HISTORY, 0, -1)
    inside = np.arange(HISTORY, 0, -1) <= place[at][:, None]
    history = np.where(inside, item[np.where(inside, before, 0)], NO_ITEM).astype(np.int32)
    return Questions(history, item[at], other_items(item[at], weights, 0), basket[at].astype(np.int64))


def candidates_of(sample: Sample, tokenizer: Tokenizer, codes: I32, events: Events) -> Candidates:
    """The items with these SIDs."""
    return Candidates(
        x=sample.x,
        codes=codes,
        codebook_sizes=tokenizer.codebook_sizes,
        suffix=numbers_within_sids(codes, np.zeros(len(codes), np.int64)),
        attributes=np.zeros((len(codes), 0), np.int32),
        attribute_sizes=(),
        trained_events=trained_events(events.training, len(codes)),
    )


def points_of(folder: Path, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every tokenizer, dial and seed with its figures, and those of the models."""
    sample, events = load(folder), Events.of(folder)
    judge, base = Judge(sample), arguments.first_seed
    for seed in range(base, base + arguments.seeds):
        for name in arguments.only or KINDS:
            dials = (None,) if arguments.set else DIALS.get(name, (None,))
            for dial in dials:
                options = {
                    "tokenizer.name": name,
                    "seed": seed,
                    "train.threads": arguments.threads,
                    "sample.holdout": 0,
                }
                balance = {} if dial is None else {"tokenizer.balance": dial}
                config = load_config(options=options | balance, settings=arguments.set)
                began = time.perf_counter()
                with torch_threads(arguments.threads):
                    tokenizer = fit_tokenizer(split(replace(sample), config), config)
                fitted = time.perf_counter() - began
                label = name if dial is None else f"{name} {dial:g}"
                told = {"catalogue": folder.name, "name": name, "seed": seed, "seconds": fitted}
                z, encoding = tokenizer.encode_prepared(tokenizer.prepare_input(sample.x))
                codes = {label: encoding.codes}
                if arguments.spread:
                    codes[f"{label}, spread"] = apart_codes(tokenizer, z, encoding.codes, arguments.spread)
                for called, sids in codes.items():
                    data = BehaviourData(candidates_of(sample, tokenizer, sids, events), events.training,
                                         events.validation, events.test)  # fmt: skip
                    figures, tried = judge.of_codes(tokenizer, sids), downstream(data, seed, arguments)
                    yield {"label": called, **told, "figures": figures, "downstream": tried}


def downstream(data: BehaviourData, seed: int, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """ "model figure" -> value and standard error, of all questions."""
    found: dict[str, list[float]] = {}
    for name in arguments.models:
        with torch_threads(arguments.threads):
            effort = Effort(seed=seed, epochs=arguments.epochs, history=HISTORY)
            fitted: Any = MODELS[name].trainer().fit(data, effort, SILENT.progress)
            if MODELS[name].task == "recommend":
                ranks = target_ranks(fitted.best(data.test.history, DEEPEST), data.test.target)
                figures = recommendation_figures(ranks, data.test, data.candidates)
            else:
                shown = np.concatenate([data.test.target[:, None], data.test.others], axis=1)
                figures = ranking_figures(fitted.scores(data.test.history, shown), data.test, data.candidates)
        found |= {f"{name} {one.figure}": [one.value, one.standard_error] for one in figures if one.segment == "all"}
    return found


def mean_of(value: Any) -> float:
    """A figure as one number: the mean of its levels."""
    return float(np.mean(value))


def tell(points: list[dict[str, Any]]) -> None:
    """Print what the points say, Markdown."""
    for catalogue in dict.fromkeys(point["catalogue"] for point in points):
        some = [point for point in points if point["catalogue"] == catalogue]
        keys = list(dict.fromkeys(key for point in some for key in point["downstream"]))
        headlines = [key for key in keys if key.split()[1] in _HEADLINES[MODELS[key.split()[0]].task]]
        print(f"\n## {catalogue}: {len(some)} points\n\n| tokenizer | seeds | {' | '.join(headlines)} |")
        print("|---" * (2 + len(headlines)) + "|")
        for label in dict.fromkeys(point["label"] for point in some):
            rows = [point for point in some if point["label"] == label]
            cells = [np.array([row["downstream"][key][0] for row in rows]) for key in headlines]
            spread = [f" ± {cell.std(ddof=1):.4f}" if len(cell) > 1 else "" for cell in cells]
            texts = [f"{cell.mean():.4f}{beside}" for cell, beside in zip(cells, spread, strict=True)]
            print(f"| {label} | {len(rows)} | {' | '.join(texts)} |")
        print(f"\n| figure | {' | '.join(headlines)} |\n" + "|---" * (1 + len(headlines)) + "|")
        for figure, sign in _GOOD.items():
            print(f"| {figure} | {' | '.join(correlated(some, figure, sign, key) for key in headlines)} |")


def correlated(points: list[dict[str, Any]], figure: str, sign: int, key: str) -> str:
    """Rank correlation within seeds with its interval over tokenizers."""
    both = [point for point in points if figure in point["figures"] and key in point["downstream"]]
    seeds = np.array([point["seed"] for point in both])
    first = sign * np.array([mean_of(point["figures"][figure]) for point in both])
    second = np.array([point["downstream"][key][0] for point in both])
    groups = np.unique([point["name"] for point in both], return_inverse=True)[1].astype(np.int64)
    found = rank_correlation(without_seed_means(first, seeds), without_seed_means(second, seeds), groups)
    return f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"


def main() -> None:
    """Measure or read the points, and print what they tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--models", nargs="+", default=["tiger", "din_sid"])
    for name, default in (("seeds", 3), ("first-seed", 0), ("epochs", 6), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", choices=list(KINDS))
    parser.add_argument("--spread", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--to", type=Path)
    parser.add_argument("--read", type=Path)
    arguments = parser.parse_args()
    points = [json.loads(line) for line in arguments.read.read_text().splitlines()] if arguments.read else []
    for folder in arguments.folders:
        for point in points_of(folder, arguments):
            points.append(point)
            print(point["label"], point["seed"], point["downstream"], flush=True)
            if arguments.to:
                with arguments.to.open("a") as file:
                    file.write(json.dumps(point) + "\n")
    tell(points)


if __name__ == "__main__":
    main()
