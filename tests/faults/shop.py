"""A shop whose catalogue changes every night, and a plain model of what readers must find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from drq_spark import pipeline
from drq_spark.config import load_config
from drq_spark.outcome import Outcome
from drq_spark.reference import Artifact

FIRST_DAY = date(2026, 1, 1)
CODES = 8
SETTINGS = {
    "tokenizer.name": "rq_kmeans", "tokenizer.codes": CODES, "tokenizer.levels": 3, "train.threads": 1,
    "measure.etas": [0.5], "measure.perturbed_items": 100, "measure.neighbour_queries": 5,
    "measure.overlap_items": 100, "gate.rules": [{"metric": "quarantine_rate", "maximum": 0.5}],
}  # fmt: skip
Place = tuple[int, int]
Vector = tuple[float, ...]


@dataclass
class Shop:
    """The shop.

    Attributes:
        out: Where its runs go. items: item -> embedding of tonight. settings: more settings of every run.
        channel: What the tables of its readers end with.
    """

    out: Path
    items: dict[str, Vector]
    settings: dict[str, Any] = field(default_factory=dict)
    channel: str = ""

    def arguments(self, day: int) -> dict[str, Any]:
        """The settings of the run of a day, whose items are written into a file, once as long as they are the same."""
        path = self.out.parent / f"{self.out.name}-{day}.parquet"
        numbers = pa.array([list(vector) for vector in self.items.values()], pa.list_(pa.float32()))
        table = pa.table({"item_id": list(self.items), "embedding": numbers})
        if not path.exists() or not pq.read_table(path).equals(table):
            pq.write_table(table, path)
        return {**SETTINGS, "items.path": str(path), "store.out": str(self.out), **self.settings}

    def run(self, spark: SparkSession, day: int, *, night: bool = True, retrain: bool = False) -> Outcome:
        """The run of a day."""
        config, now = load_config(options=self.arguments(day)), datetime.now(timezone.utc)
        return pipeline.run_all(spark, config, FIRST_DAY + timedelta(days=day), now, night=night, retrain=retrain)

    def table(self, name: str) -> list[dict[str, Any]]:
        """Rows of a table as another engine finds them."""
        return list(DeltaTable(str(self.out / "tables" / name)).to_pyarrow_table().to_pylist())

    def readers(self) -> dict[str, Place]:
        """What readers find: item -> SID and suffix."""
        return {row["item_id"]: (row["sid"], row["suffix"]) for row in self.table(f"current_sids{self.channel}")}

    def tokenizer(self) -> Artifact:
        """The tokenizer that readers follow."""
        return Artifact.read(self.out / "tokenizers" / self.table(f"published{self.channel}")[0]["tokenizer_id"])


def vectors(random: np.random.Generator, count: int) -> list[Vector]:
    """Embeddings about a few centres, many of them near to others."""
    return [
        tuple(row.tolist()) for row in np.float32(random.integers(0, 4, (count, 6)) + random.normal(0, 0.1, (count, 6)))
    ]


def changed(
    random: np.random.Generator, before: dict[str, Vector], gone: dict[str, Vector], day: int
) -> dict[str, Vector]:
    """The catalogue of the next night: some new, gone, back, other embeddings, and copies of what is there."""
    items = dict(before)
    for item in random.choice(list(items), 6, replace=False).tolist():
        gone[item] = items.pop(item)
    for item in random.choice(list(gone), min(2, len(gone)), replace=False).tolist():
        items[item] = gone.pop(item)
    ids = list(items)
    for item, vector in zip(random.choice(ids, 3, replace=False).tolist(), vectors(random, 3), strict=True):
        items[item] = vector
    items |= {f"new-{day:02d}-{n}": vector for n, vector in enumerate(vectors(random, 5))}
    return items | {f"copy-{day:02d}": items[ids[int(random.integers(len(ids)))]]}


@dataclass
class Model:
    """What readers must find after every night, by rules alone.

    Attributes:
        places: item -> SID and suffix. embeddings: item -> the embedding that its SID is of.
        left: What an item has left, and when: item -> place -> day.
    """

    spread: bool
    places: dict[str, Place] = field(default_factory=dict)
    embeddings: dict[str, Vector] = field(default_factory=dict)
    left: dict[str, dict[Place, int]] = field(default_factory=dict)

    def follow(self, readers: dict[str, Place], items: dict[str, Vector], tokenizer: Artifact, day: int) -> None:
        """Check what readers find after a night, and take it over.

        Raises:
            AssertionError: somebody moved who must not, has a SID that is not its own, or a place of another.
        """
        assert set(readers) == set(items)
        assert len(set(readers.values())) == len(readers), "two items have one place"
        for item, place in readers.items():
            if self.embeddings.get(item) == items[item]:
                assert place == self.places[item], f"{item} has not changed, and moved"
                continue
            others = {held for other, held in self.places.items() if other != item}
            others |= {held for other, days in self.left.items() if other != item for held in days}
            assert place not in others, f"{item} got the place of another"
            own = tokenizer.key(tokenizer.encode(np.array(items[item], np.float32)).codes)
            if not self.spread:
                assert place[0] == own, f"{item} has another SID than its embedding"
                held = [mine for mine in self._own(item) if mine[0] == own]
                assert not held or place in held, f"{item} did not find its own place"
            else:
                self._check_spread(item, place[0], own, readers, items)
        for item, before in self.places.items():
            if readers.get(item) != before:
                self.left.setdefault(item, {})[before] = day
        self.places, self.embeddings = dict(readers), dict(items)

    def _own(self, item: str) -> list[Place]:
        now = self.places.get(item)
        return [*([now] if now else []), *self.left.get(item, {})]

    def _check_spread(self, item: str, sid: int, own: int, readers: dict[str, Place], items: dict[str, Vector]) -> None:
        """An item moves only for others, within its greedy path, and shares a SID only where all of these are taken."""
        siblings = range(own - own % CODES, own - own % CODES + CODES)
        assert sid in siblings, f"{item} has a SID that is not on its path"
        busy = {place[0] for other, place in readers.items() if items[other] != items[item]}
        busy |= {place[0] for other, days in self.left.items() if other != item for place in days}
        busy |= {place[0] for other, place in self.places.items() if other != item}
        twins = any(self.embeddings.get(other) == items[item] for other in self.places)
        assert sid == own or own in busy or twins or self._own(item), f"{item} was moved for nobody"
        shared = any(readers[other][0] == sid and items[other] != items[item] for other in readers)
        at_home = twins or any(place[0] == sid for place in self._own(item))
        assert not shared or at_home or set(siblings) <= busy | {sid}, f"{item} shares a SID, and another was free"


def replayed(rows: Sequence[dict[str, Any]], version: int) -> dict[str, Place]:
    """What a reader has who took the changes of every version up to one."""
    found: dict[str, Place] = {}
    for row in sorted(rows, key=lambda row: int(row["version"])):
        if row["version"] > version:
            continue
        if row["change"] == "removed":
            del found[row["item_id"]]
        else:
            found[row["item_id"]] = (row["sid"], row["suffix"])
    return found
