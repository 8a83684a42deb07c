"""What a retraining keeps, and what that costs: the frontier of kept SIDs against unseen error, in three situations.

    python bench/retraining.py FOLDER [--tokenizer drq] [--codes 256] [--seeds 3] [--first-seed 0] [--threads 1]
                               [--situations a b c] [--events]

FOLDER holds items.parquet (item_id, section, exposure, embedding) and events.parquet (basket_id, item_id, position).

- a: 5 % of the items are new, of the same kinds.
- b: the items of every second section by size are new: kinds that the old books never saw.
- c: all items are there, under a new embedding model: the space is turned at random, with Gaussian noise of 30 % of the
  RMS of an embedding about the mean. Only old SIDs and new embeddings are known.

A quarter of the items, the same ones for old and new fits, is kept from all fits and measures the error. Kept is the
share of all old items, fitted or not, whose whole SID is the same. The error of each row is beside that of a free fit
of the new catalogue. With --events the old behaviour direction is kept, and the free fit that a row is held against
has it, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from catalogues import load

from drq_spark.arrays import F32
from drq_spark.config import Config, load_config
from drq_spark.progress import SILENT
from drq_spark.sample.values import Behaviour, Sample
from drq_spark.train.contract import UNKNOWN, Before, TrainingData
from drq_spark.train.driver import fit_tokenizer, split
from drq_spark.train.evaluation import encoded
from drq_spark.train.matching import renamed
from drq_spark.train.registry import trainer
from drq_spark.train.retraining import in_space, is_elsewhere, latents_before
from drq_spark.train.stability import Frontier, frontier, kept_by

_UNSEEN = 0.25
_NEW = 0.05
_NOISE = 0.3


@dataclass(frozen=True)
class Situation:
    """The catalogue before and after: its embeddings, and which items are new."""

    before: F32
    after: F32
    new: NDArray[np.bool_]


def situation(name: str, sample: Sample, sections: NDArray[np.str_], seed: int) -> Situation:
    """What has happened to the catalogue."""
    random = np.random.default_rng((seed, 99))
    if name == "a":
        return Situation(sample.x, sample.x, random.random(len(sample.x)) < _NEW)
    if name == "b":
        names, counts = np.unique(sections, return_counts=True)
        by_size = names[np.lexsort((names, -counts))]
        return Situation(sample.x, sample.x, np.isin(sections, by_size[1::2]))
    dim = sample.x.shape[1]
    turn, _ = np.linalg.qr(random.standard_normal((dim, dim)))
    rms = np.sqrt(np.square(sample.x - sample.x.mean(axis=0)).sum(axis=1).mean() / dim)
    noisy = sample.x + _NOISE * rms * random.standard_normal(sample.x.shape)
    return Situation(sample.x, (noisy @ turn.T).astype(np.float32), np.zeros(len(sample.x), bool))


def part_of(sample: Sample, x: F32, chosen: NDArray[np.bool_], held: NDArray[np.bool_], config: Config) -> TrainingData:
    """Some of the items, the held-out ones of all first."""
    keys = np.where(held, 0, 1).astype(np.int64)
    holdout = float((held & chosen).sum() / chosen.sum()) + 1e-9  # exactly those, in spite of rounding
    of_part = config.model_copy(update={"sample": config.sample.model_copy(update={"holdout": holdout})})
    behaviour = None if sample.behaviour is None else behaviour_of(sample, sample.behaviour, x, chosen, keys)
    return split(replace(sample, x=x[chosen], split_key=keys[chosen], exposure=None, behaviour=behaviour), of_part)


def behaviour_of(
    sample: Sample, behaviour: Behaviour, x: F32, chosen: NDArray[np.bool_], keys: NDArray[np.int64]
) -> Behaviour:
    """The pairs whose items are both chosen."""
    assert sample.split_key is not None  # a hash of the id, the same among the items and in the pairs
    order = np.argsort(sample.split_key)
    rows = order[np.searchsorted(sample.split_key, behaviour.split_key, sorter=order)]
    here = chosen[rows]
    number = np.cumsum(here) - 1

    def kept(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        return number[pairs[here[pairs].all(axis=1)]]

    return Behaviour(x[rows[here]], keys[rows[here]], kept(behaviour.pairs), kept(behaviour.held_out_pairs))


def measured(sample: Sample, now: Situation, config: Config, seed: int) -> tuple[Frontier, tuple[float, ...]]:
    """The frontier, and kept (whole, by level) of a free fit whose codes are renamed by the best matching."""
    held = np.random.default_rng((seed, 98)).random(len(sample.x)) < _UNSEEN
    old = fit_tokenizer(part_of(sample, now.before, ~now.new, held, config), config)
    everything = np.ones(len(held), bool)
    data = part_of(sample, now.after, everything, held, config)
    order = np.argsort(np.where(held, 0, 1), kind="stable")
    codes = encoded(old, now.before[order])
    codes[now.new[order]] = UNKNOWN
    data = replace(data, before=Before(old, codes))
    assert data.before is not None
    free = trainer(config.tokenizer.name).fit(replace(data, before=None), config, SILENT.progress)
    known = (codes != UNKNOWN).all(axis=1)
    matched = renamed(free, encoded(free, data.prepared[known]), codes[known])
    whole, by_level = kept_by(encoded(matched, data.prepared), codes)
    if is_elsewhere(data, data.before):
        data = replace(data, before=in_space(data, data.before))
    return frontier(data, latents_before(data), config, SILENT.progress), (whole, *by_level)


def lines(found: Sequence[tuple[Frontier, tuple[float, ...]]]) -> Iterator[str]:
    """Rows of a table in Markdown: means over the seeds, and each seed's own."""
    matched = np.mean([kept for _, kept in found], axis=0)
    yield f"| free, renamed | {matched[0]:.3f} ({' '.join(f'{level:.2f}' for level in matched[1:])}) | 0 |"
    for rungs in zip(*(of_seed.rungs for of_seed, _ in found), strict=True):
        kept = np.mean([(rung.kept, *rung.kept_by_level) for rung in rungs], axis=0)
        costs = [
            100 * (rung.unseen_relative_mse / of_seed.free - 1) for rung, (of_seed, _) in zip(rungs, found, strict=True)
        ]
        each = ", ".join(f"{rung.kept:.3f} at {cost:+.1f} %" for rung, cost in zip(rungs, costs, strict=True))
        name = f"pull {rungs[0].pull.strength:g}, freed {rungs[0].pull.freed:g}"
        levels = " ".join(f"{level:.2f}" for level in kept[1:])
        yield f"| {name} | {kept[0]:.3f} ({levels}) | {np.mean(costs):+.2f} % ({each}) |"


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("codes", 256), ("seeds", 3), ("first-seed", 0), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--tokenizer", default="drq")
    parser.add_argument("--situations", nargs="*", default=["a", "b", "c"])
    parser.add_argument("--events", action="store_true", help="train on behaviour, too")
    given = parser.parse_args()
    sample = load(given.folder)
    if not given.events:
        sample = replace(sample, behaviour=None)
    table = pq.read_table(given.folder / "items.parquet", columns=["section"])
    sections = np.array(table["section"].to_pylist(), str)
    for name in given.situations:
        found = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            options = {"seed": seed, "tokenizer.name": given.tokenizer, "tokenizer.codes": given.codes,
                       "train.threads": given.threads}  # fmt: skip
            config = load_config(options=options)
            found.append(measured(sample, situation(name, sample, sections, seed), config, seed))
        print(
            f"\n{given.folder.name}, {given.tokenizer}, situation {name}\n\n| | kept (levels) | error |\n|---|---|---|"
        )
        print("\n".join(lines(found)), flush=True)


if __name__ == "__main__":
    main()
