"""Nights by the functions that make them, against a plain Python model: adds, deletes, returns, changes, flickers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from pipeline.direct import by_id
from pyspark.sql import functions as F

from drq_spark.assign.differences import Differences, differences, refuse_upheaval, to_encode
from drq_spark.assign.night import night_rows
from drq_spark.assign.suffix import with_suffix
from drq_spark.config import load_config
from drq_spark.errors import InputRefused
from drq_spark.schemas import CURRENT_SIDS
from drq_spark.sids_of_run import changed_by
from drq_spark.staging import Staging

OWN = [column for column in CURRENT_SIDS.columns if column.name not in ("tokenizer_id", "run_id", "run_date")]
NAMES = [column.name for column in OWN]
DDL = ", ".join(f"{column.name} {column.type.format(id='string')}" for column in OWN)
SIDS = 7
NIGHTS, KEEP_GONE, HOLD = 6, 1, 2


def sid_of(version: int) -> int:
    """What a tokenizer without mercy makes of the hash of an embedding."""
    return version % SIDS


@dataclass(frozen=True)
class Item:
    """A row of current_sids, as far as nights are about it."""

    version: int
    suffix: int
    gone: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """What nobody else may have."""
        return sid_of(self.version), self.suffix


@dataclass
class Model:
    """What readers find, and the places that were left: (night, item, place)."""

    rows: dict[str, Item] = field(default_factory=dict)
    left: list[tuple[int, str, tuple[int, int]]] = field(default_factory=list)

    def held(self, night: int) -> list[tuple[str, tuple[int, int]]]:
        """Places that were left in the last nights."""
        return [(item, place) for when, item, place in self.left if night - HOLD <= when < night]

    def night(self, night: int, catalogue: dict[str, int], unusable: set[str]) -> dict[str, str]:
        """Move on; item -> change."""
        before, held = dict(self.rows), self.held(night)
        highest: dict[int, int] = {}
        for sid, suffix in [item.place for item in before.values()] + [place for _, place in held]:
            highest[sid] = max(highest.get(sid, -1), suffix)
        own = {(item, place[0]): place[1] for item, place in held}
        own |= {(name, sid_of(item.version)): item.suffix for name, item in before.items()}
        changes = {}
        for name in sorted(catalogue):
            known = before.get(name)
            if known is not None and known.version == catalogue[name]:
                if known.gone:
                    changes[name] = "back"
                    self.rows[name] = replace(known, gone=0)
                continue
            if name in unusable:
                continue
            sid = sid_of(catalogue[name])
            suffix = own.get((name, sid))
            if suffix is None:
                suffix = highest[sid] = highest.get(sid, -1) + 1
            self.rows[name] = now = Item(catalogue[name], suffix)
            changes[name] = "added" if known is None else "refreshed" if known.place == now.place else "moved"
        for name, known in before.items():
            if name in changes or catalogue.get(name) == known.version:
                continue
            changes[name] = "gone" if known.gone < KEEP_GONE else "removed"
            self.rows[name] = replace(known, gone=known.gone + 1)
            if changes[name] == "removed":
                del self.rows[name]
        moved = [name for name, change in changes.items() if change in ("moved", "removed")]
        self.left += [(night, name, before[name].place) for name in moved]
        return changes


def history(seed: int):
    """Catalogues of some nights, item -> hash of its embedding, with items whose embedding cannot be used."""
    random = np.random.default_rng(seed)
    catalogue = {f"item-{n:02d}": int(random.integers(1000)) for n in range(40)}
    first, versions = dict(catalogue), {name: {version} for name, version in catalogue.items()}
    yield dict(catalogue), set()
    for night in range(1, NIGHTS):
        for name in random.choice(sorted(catalogue), 6, replace=False).tolist():
            del catalogue[name]
        for name in random.choice(sorted(catalogue), 5, replace=False).tolist():
            old = sorted(versions[name])[0]  # now and then it flickers back to one that it had
            catalogue[name] = old if random.random() < 0.5 else int(random.integers(1000))
            versions[name].add(catalogue[name])
        for name in random.choice(sorted(first), 5, replace=False).tolist():
            if name not in catalogue:
                catalogue[name] = first[name]
        catalogue[f"new-{night}"] = version = int(random.integers(1000))
        versions[f"new-{night}"] = {version}
        unusable = set(random.choice(sorted(catalogue), 2, replace=False).tolist())
        for name in unusable:
            catalogue[name] = 5000 + night  # an embedding of a kind that the worker refuses
        yield dict(catalogue), unusable


@pytest.mark.parametrize(("seed", "partitions"), [(0, 1), (1, 5)])
def test_nights_are_those_of_a_plain_model(spark, tmp_path, seed, partitions):
    model, base = Model(), spark.createDataFrame([], DDL)
    for night, (catalogue, unusable) in enumerate(history(seed)):
        staging = Staging(str(tmp_path / str(night)))
        rows = [(name, version) for name, version in catalogue.items()]
        items = spark.createDataFrame(rows, "item_id string, embedding_hash bigint").repartition(partitions)
        found = differences(items, base, staging)
        encoded = [
            (
                row.item_id,
                [sid_of(row.embedding_hash)],
                sid_of(row.embedding_hash),
                [0.5],
                0.5,
                row.embedding_hash,
                None,
            )
            for row in to_encode(items, found).collect()
            if row.item_id not in unusable
        ]
        schema = "item_id string, codes array<int>, sid bigint, margin array<float>, residual_norm float"
        df = spark.createDataFrame(encoded, f"{schema}, embedding_hash bigint, exposure double")
        df = df.withColumn("moved_from", F.lit(None).cast("bigint"))
        places = [(name, *item.place, 0) for name, item in model.rows.items()]
        places += [(name, *place, 1) for name, place in model.held(night)]
        there = spark.createDataFrame(places, "item_id string, sid bigint, suffix int, held int") if places else None
        numbered = staging.keep(with_suffix(df.repartition(partitions), there, (), "rank0", staging), "numbered")
        changes = staging.keep(night_rows(numbered, found.rows, base, KEEP_GONE), "night")
        known, present = len(model.rows), {name for name, item in model.rows.items() if not item.gone}
        expected = model.night(night, catalogue, unusable)
        assert by_id(changes, "change") == {name: (change,) for name, change in expected.items()}
        assert found.known == len(present) <= known
        assert found.gone == len(present - catalogue.keys())
        base = staging.keep(changed_by(base, changes, NAMES), "after")
        held = by_id(base, "embedding_hash", "sid", "suffix", "gone_nights")
        assert held == {name: (item.version, *item.place, item.gone) for name, item in model.rows.items()}
        assert len({item.place for item in model.rows.values()}) == len(model.rows)


@pytest.mark.parametrize(
    ("changed", "gone", "says"),
    [(6, 0, "6 of 10 known items have another embedding"), (0, 6, "6 of 10 known items are not in the items table")],
)
def test_a_night_in_which_nearly_all_changes_is_refused(changed, gone, says):
    with pytest.raises(InputRefused, match=says):
        refuse_upheaval(Differences(None, 10, changed, changed, gone), load_config())
    allowed = load_config(options={"nightly.max_changed": 0.6, "nightly.max_gone": 0.6})
    refuse_upheaval(Differences(None, 10, changed, changed, gone), allowed)
