"""What a tokenizer learns from events with equal positions, and from events of unknown items, by what is made of them.

    python bench/event_choices.py FOLDER [--seeds 2] [--codes 256] [--levels 3] [--steps 1200] [--batch 1024]
                                  [--threads 2] [--only PART ...] [--whole] [--to FILE]

FOLDER holds items.parquet and events.parquet as for `tokenizers.py`, whose exact order is the truth. The events that
train are spoiled: their positions are made coarse (4 neighbours at one position, or a whole basket), or a share of
their items is replaced by an unknown one. The behaviour encoder of `drq`, which is all that learns from events, learns
from the pairs that each way of reading them finds; all are judged by the same pairs: those of baskets that training
never sees, in their exact order. With --whole all of `drq` is fitted, which takes many times as long.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load
from judge import Judge

from drq_spark.arrays import I64
from drq_spark.config import Config, load_config
from drq_spark.progress import SILENT
from drq_spark.sample.values import Behaviour, Sample
from drq_spark.train.behaviour_encoder import train_behaviour
from drq_spark.train.driver import fit_tokenizer, split

_LARGEST_BASKET = 60  # for all pairs inside: more are drawn from
_HELD_OUT = 0.2


@dataclass(frozen=True)
class Events:
    """Events in the order of baskets and positions: int64 [n] each; item is -1 where it is unknown."""

    basket: I64
    item: I64
    position: I64

    def take(self, rows: I64) -> Events:
        """Some of them, in this order."""
        return Events(self.basket[rows], self.item[rows], self.position[rows])

    def consecutive(self) -> I64:
        """Pairs int64 [p, 2] of known, different items that follow one another in a basket."""
        return self._pairs(np.ones(len(self.item) - 1, bool))

    def across(self) -> I64:
        """The same without those at one position."""
        return self._pairs(self.position[1:] != self.position[:-1])

    def _pairs(self, wanted: np.ndarray) -> I64:
        first, second = self.item[:-1], self.item[1:]
        kept = wanted & (self.basket[1:] == self.basket[:-1]) & (first >= 0) & (second >= 0) & (first != second)
        return np.stack([first, second], axis=1)[kept]

    def ordered(self, within: np.ndarray) -> Events:
        """The events with equal positions in the order of other numbers [n]."""
        return self.take(np.lexsort((within, self.position, self.basket)))


def events_of(folder: Path, random: np.random.Generator) -> tuple[Events, I64]:
    """The events of the baskets that train, in exact order, and the pairs of those that judge."""
    ids = pq.read_table(folder / "items.parquet", columns=["item_id"])["item_id"].to_pylist()
    row_of = {item: row for row, item in enumerate(ids)}
    table = pq.read_table(folder / "events.parquet", columns=["basket_id", "item_id", "position"])
    item = np.array([row_of.get(value, -1) for value in table["item_id"].to_pylist()], np.int64)
    _, basket = np.unique(table["basket_id"].to_pylist(), return_inverse=True)
    every = Events(basket.astype(np.int64), item, np.asarray(table["position"], np.int64))
    every = every.ordered(np.zeros(len(item)))
    judges = (random.random(basket.max() + 1) < _HELD_OUT)[every.basket]
    return every.take(np.flatnonzero(~judges)), every.take(np.flatnonzero(judges)).consecutive()


def inside(events: Events, random: np.random.Generator) -> I64:
    """Every pair inside a position, once, in an order by chance, and what follows across positions."""
    ends = np.flatnonzero((np.diff(events.basket) != 0) | (np.diff(events.position) != 0)) + 1
    found = [events.across()]
    for rows in np.split(np.arange(len(events.item)), ends):
        members = random.permutation(rows)[:_LARGEST_BASKET]
        a, b = np.triu_indices(len(members), 1)
        found.append(np.stack([events.item[members[a]], events.item[members[b]]], axis=1))
    pairs = np.concatenate(found)
    return pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])]


def ways(events: Events, random: np.random.Generator) -> Iterator[tuple[str, Callable[[], I64]]]:
    """Names of what is spoiled and of a way to read it, with the pairs that it finds."""
    yield "nothing: exact order", events.consecutive
    for name, wide in (("4 at one position", 4), ("a basket at one position", 10**6)):
        coarse = replace(events, position=events.position // wide)
        shuffled = coarse.ordered(random.random(len(coarse.item)))
        yield f"{name}: by id", coarse.ordered(coarse.item).consecutive
        yield f"{name}: shuffle", shuffled.consecutive
        yield f"{name}: part", shuffled.across
        yield f"{name}: all inside", lambda shuffled=shuffled: inside(shuffled, random)
    for share in (0.3, 0.7, 0.95):
        spoiled = replace(events, item=np.where(random.random(len(events.item)) < share, -1, events.item))
        yield f"{share:.0%} unknown: part", spoiled.consecutive
        yield f"{share:.0%} unknown: bridge", spoiled.take(np.flatnonzero(spoiled.item >= 0)).consecutive


def with_pairs(sample: Sample, pairs: I64, held_out: I64) -> Sample:
    """The sample with other pairs."""
    assert sample.split_key is not None
    used, rows = np.unique(np.concatenate([pairs, held_out]), return_inverse=True)
    rows = rows.reshape(-1, 2).astype(np.int64)
    behaviour = Behaviour(sample.x[used], sample.split_key[used], rows[: len(pairs)], rows[len(pairs) :])
    return replace(sample, behaviour=behaviour)


def figures_of(sample: Sample, config: Config, judge: Judge | None) -> dict[str, float]:
    """AUC of the behaviour encoder on the held-out pairs; with a judge figures of the SIDs."""
    if judge is None:
        found = train_behaviour(split(sample, config), config, SILENT.progress).figures
        kinds = ("popularity", "uniform")
        raw = {f"raw_auc_{kind}": found["raw_auc"][kind] for kind in kinds}
        return {**{f"auc_{kind}": found["auc"][kind] for kind in kinds}, **raw}
    every = judge(fit_tokenizer(split(sample, config), config))
    names = ("auc_popularity", "auc_uniform", "retention@20", "retention@200", "relative_mse")
    return {name: float(np.mean(every[name])) for name in names}


def main() -> None:
    """Print a line for every way and seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (
        ("seeds", 2),
        ("codes", 256),
        ("levels", 3),
        ("steps", 1200),
        ("batch", 1024),
        ("threads", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names of ways")
    parser.add_argument("--whole", action="store_true", help="fit and judge all of drq")
    parser.add_argument("--to", type=Path, help="file for JSON lines")
    arguments = parser.parse_args()
    sample = load(arguments.folder)
    for seed in range(arguments.seeds):
        random = np.random.default_rng(seed)
        events, held_out = events_of(arguments.folder, random)
        judge = Judge(with_pairs(sample, held_out[:1], held_out)) if arguments.whole else None
        options = {
            "seed": seed, "tokenizer.codes": arguments.codes, "tokenizer.levels": arguments.levels,
            "train.threads": arguments.threads, "train.behaviour.steps": arguments.steps,
            "train.behaviour.batch_size": arguments.batch, "events.path": "events",
        }  # fmt: skip
        config = load_config(options=options)
        for name, pairs_of in ways(events, random):
            if not any(part in name for part in arguments.only):
                continue
            pairs = pairs_of()
            if not len(pairs):
                print(f"{seed} {name:36s} no pair", flush=True)
                continue
            figures = figures_of(with_pairs(sample, pairs, held_out), config, judge)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
            print(f"{seed} {name:36s} {len(pairs):8,d}  {shown}", flush=True)
            if arguments.to:
                told = {"catalogue": arguments.folder.name, "seed": seed, "way": name, "pairs": len(pairs), **figures}
                with arguments.to.open("a") as file:
                    file.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
