"""What a tokenizer learns from events with equal positions, and from events of unknown items, by what is made of them.

    python bench/event_choices.py FOLDER [--seeds 2] [--codes 256] [--levels 3] [--steps 1200] [--batch 1024]
                                  [--threads 2] [--only PART ...] [--whole] [--to FILE]

FOLDER holds items.parquet and events.parquet as for `tokenizers.py`, whose exact order is the truth. The events that
train are spoiled: their positions are made coarse (4 neighbours at one position, or a whole basket), or a share of
their items is replaced by an unknown one, or a share of the items is gone from the catalogue. The behaviour encoder of
`drq`, which is all that learns from events, learns from the pairs that each way of reading them finds; all are judged
by the same pairs: those of baskets that training never sees, in their exact order. Where items are gone, the judging
baskets lack them, too: `apart` are pairs of neighbours in the whole basket, `beside` those that are neighbours once the
gone items are passed over. With --whole all of `drq` is fitted, which takes many times as long.
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
from drq_spark.train.behaviour_auc import behaviour_auc
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

    def known(self) -> Events:
        """Those of known items."""
        return self.take(np.flatnonzero(self.item >= 0))

    def of(self, there: np.ndarray) -> Events:
        """The same where only some items bool [n] are in the catalogue."""
        return replace(self, item=np.where((self.item >= 0) & there[self.item], self.item, -1))

    def ordered(self, within: np.ndarray) -> Events:
        """The events with equal positions in the order of other numbers [n]."""
        return self.take(np.lexsort((within, self.position, self.basket)))


def events_of(folder: Path, random: np.random.Generator) -> tuple[Events, Events]:
    """The events of the baskets that train and of those that judge, in exact order."""
    ids = pq.read_table(folder / "items.parquet", columns=["item_id"])["item_id"].to_pylist()
    row_of = {item: row for row, item in enumerate(ids)}
    table = pq.read_table(folder / "events.parquet", columns=["basket_id", "item_id", "position"])
    item = np.array([row_of.get(value, -1) for value in table["item_id"].to_pylist()], np.int64)
    _, basket = np.unique(table["basket_id"].to_pylist(), return_inverse=True)
    every = Events(basket.astype(np.int64), item, np.asarray(table["position"], np.int64))
    every = every.ordered(np.zeros(len(item)))
    judges = (random.random(basket.max() + 1) < _HELD_OUT)[every.basket]
    return every.take(np.flatnonzero(~judges)), every.take(np.flatnonzero(judges))


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


@dataclass(frozen=True)
class Way:
    """What is spoiled and how it is read: the pairs that are found, and the kinds of pairs that judge, by name."""

    name: str
    pairs: Callable[[], I64]
    judges: dict[str, I64]


def ways(events: Events, judging: Events, random: np.random.Generator) -> Iterator[Way]:
    """Every way to spoil and to read the events that train."""
    judges = {"": judging.consecutive()}
    yield Way("nothing: exact order", events.consecutive, judges)
    for name, wide in (("4 at one position", 4), ("a basket at one position", 10**6)):
        coarse = replace(events, position=events.position // wide)
        shuffled = coarse.ordered(random.random(len(coarse.item)))
        yield Way(f"{name}: by id", coarse.ordered(coarse.item).consecutive, judges)
        yield Way(f"{name}: shuffle", shuffled.consecutive, judges)
        yield Way(f"{name}: part", shuffled.across, judges)
        yield Way(f"{name}: all inside", lambda shuffled=shuffled: inside(shuffled, random), judges)
    for share in (0.3, 0.7, 0.95):
        spoiled = replace(events, item=np.where(random.random(len(events.item)) < share, -1, events.item))
        yield Way(f"{share:.0%} unknown: part", spoiled.consecutive, judges)
        yield Way(f"{share:.0%} unknown: bridge", spoiled.known().consecutive, judges)
    for share in (0.2, 0.5, 0.8):
        there = random.random(max(events.item.max(), judging.item.max()) + 1) >= share
        spoiled, judging_left = events.of(there), judging.of(there)
        judges = {"apart_": judging_left.consecutive(), "beside_": judging_left.known().consecutive()}
        yield Way(f"{share:.0%} of items gone: part", spoiled.consecutive, judges)
        yield Way(f"{share:.0%} of items gone: bridge", spoiled.known().consecutive, judges)


def with_pairs(sample: Sample, pairs: I64, held_out: I64) -> Sample:
    """The sample with other pairs."""
    assert sample.split_key is not None
    used, rows = np.unique(np.concatenate([pairs, held_out]), return_inverse=True)
    rows = rows.reshape(-1, 2).astype(np.int64)
    behaviour = Behaviour(sample.x[used], sample.split_key[used], rows[: len(pairs)], rows[len(pairs) :])
    return replace(sample, behaviour=behaviour)


def figures_of(sample: Sample, way: Way, pairs: I64, config: Config, *, whole: bool) -> dict[str, float]:
    """AUC of the behaviour encoder by every kind of judging pairs; of a whole fit figures of the SIDs."""
    judged = np.concatenate(list(way.judges.values()))
    data = split(with_pairs(sample, pairs, judged), config)
    if whole:
        every = Judge(with_pairs(sample, judged[:1], judged))(fit_tokenizer(data, config))
        names = ("auc_popularity", "auc_uniform", "retention@20", "retention@200", "relative_mse")
        return {name: float(np.mean(every[name])) for name in names}
    behaviour = data.behaviour
    assert behaviour is not None
    learned = train_behaviour(data, config, SILENT.progress).embed(behaviour.prepared)
    figures, start = {}, 0
    for name, its in way.judges.items():
        rows = behaviour.held_out_pairs[start : start + len(its)]
        start += len(its)
        for kind, vectors in (("", learned), ("raw_", behaviour.prepared)):
            found = behaviour_auc(vectors, rows, config.seed)
            figures |= {f"{name}{kind}auc_{partners}": value for partners, value in found.items()}
    return figures


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
        events, judging = events_of(arguments.folder, random)
        options = {
            "seed": seed, "tokenizer.codes": arguments.codes, "tokenizer.levels": arguments.levels,
            "train.threads": arguments.threads, "train.behaviour.steps": arguments.steps,
            "train.behaviour.batch_size": arguments.batch, "events.path": "events",
        }  # fmt: skip
        config = load_config(options=options)
        for way in ways(events, judging, random):
            if not any(part in way.name for part in arguments.only):
                continue
            pairs = way.pairs()
            if not len(pairs):
                print(f"{seed} {way.name:36s} no pair", flush=True)
                continue
            figures = figures_of(sample, way, pairs, config, whole=arguments.whole)
            shown = "  ".join(f"{key} {value:.4f}" for key, value in figures.items())
            print(f"{seed} {way.name:36s} {len(pairs):8,d}  {shown}", flush=True)
            if arguments.to:
                told = {"catalogue": arguments.folder.name, "seed": seed, "way": way.name, "pairs": len(pairs)}
                with arguments.to.open("a") as file:
                    file.write(json.dumps({**told, **figures}) + "\n")


if __name__ == "__main__":
    main()
