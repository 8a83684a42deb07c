"""Items that a SID has no room for, on Spark and by a plain model that goes through them one by one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from formulas.test_deferred_acceptance import one_by_one
from pipeline.direct import by_id
from tokenizer.samples import behaving, rows

from drq_spark.assign import acceptance
from drq_spark.assign.assignment import Assignment, assign_items
from drq_spark.assign.spread import spread
from drq_spark.config import load_config
from drq_spark.inputs.items import Catalogue
from drq_spark.staging import Staging

TOKENIZER = behaving(sizes=(4, 3, 3))
SCHEMA = "item_id string, embedding array<float>, exposure double, embedding_hash bigint"
PLACES = "item_id string, sid bigint, suffix int, embedding_hash bigint, held int"


@dataclass
class Items:
    """A small catalogue: embeddings by id, some of them twice."""

    x: np.ndarray
    exposure: list[float]
    ids: list[str] = field(default_factory=list)

    @classmethod
    def made(cls, count: int) -> Items:
        x = rows(count, 4)
        x[1::7] = x[: len(x[1::7])]  # items with exactly the same embedding
        return cls(x, [float((7 * n) % 5) for n in range(count)], [f"item-{n:02d}" for n in range(count)])

    def hashes(self) -> list[int]:
        return [hash(row.tobytes()) % 2**40 for row in self.x]


def settings_of(**options):
    return load_config(
        options={"collisions.policy": "spread", **{f"collisions.{k}": v for k, v in options.items()}}
    ).collisions


def model(items: Items, places: list[tuple], settings) -> dict[str, int]:
    """item -> SID: the rules, one item after the other."""
    paths = _paths(items, settings.candidates)
    together = settings.duplicates == "together"
    unit = dict(zip(items.ids, items.hashes() if together else items.ids, strict=True))
    exposure = dict(zip(items.ids, items.exposure, strict=True))
    taken = {(item, sid) for item, sid, _, _, held in places if not held}
    of_place = {(item, sid): (h if together else item) for item, sid, _, h, held in places if not held}
    occupied: dict[int, set] = {}
    for item, sid, _, _, held in places:
        if held and (item, sid) in taken:
            continue
        occupied.setdefault(sid, set()).add(("held", item) if held else of_place[item, sid])
    result, asking = {}, []
    for item in items.ids:
        homes = {sid for other, sid, _, _, _ in places if other == item}
        if together:
            homes |= {sid for _, sid, _, h, held in places if not held and h == unit[item]}
        at = [sid for sid, _ in paths[item] if sid in homes]
        if at:
            result[item] = at[0]
        else:
            asking.append(item)
    groups: dict[tuple, list[str]] = {}
    for item in asking:
        groups.setdefault((paths[item][0][0], unit[item]), []).append(item)
    asked = {sid: len([1 for own, _ in groups if own == sid]) for sid in range(TOKENIZER.codebook_sizes[0] * 9)}
    room = {sid: settings.capacity - len(occupied.get(sid, ())) - asked[sid] for sid in asked}
    asks, speakers = {}, {}
    for sid in asked:
        standing = []
        for (own, _), members in groups.items():
            if own != sid:
                continue
            speaker, wanted = min(members), [path for path in paths[members[0]][1:] if room[path[0]] > 0]
            shown = sum(exposure[member] for member in members)
            costs = [cost for _, cost in wanted] + [np.inf]
            losses = [after - before for before, after in itertools.pairwise(costs)]
            claims = losses if settings.stays == "cost" else [shown] * len(wanted)
            claim = (costs[0] - paths[members[0]][0][1]) if settings.stays == "cost" else shown
            standing.append((-claim, speaker))
            speakers[speaker] = members
            asks[speaker] = [(other, strength) for (other, _), strength in zip(wanted, claims, strict=True)]
        left = max(settings.capacity - len(occupied.get(sid, ())), 0)
        for _, speaker in sorted(standing)[:left]:
            del asks[speaker]
    number = {speaker: place for place, speaker in enumerate(sorted(speakers))}
    got = one_by_one({number[name]: wanted for name, wanted in asks.items()}, {s: r for s, r in room.items() if r > 0})
    for speaker, members in speakers.items():
        for member in members:
            result[member] = got.get(number[speaker], paths[member][0][0])
    return result


def _paths(items: Items, most: int) -> dict[str, list[tuple[int, float]]]:
    """item -> (sid, cost) of its SIDs, its own first, the others by cost."""
    z, _ = TOKENIZER.encode_prepared(TOKENIZER.prepare_input(items.x))
    found = {}
    for row, item in enumerate(items.ids):
        codes = TOKENIZER.paths(z[row : row + 1], most).codes[0]
        left = (z[row] - TOKENIZER.decode_latent(codes)) * TOKENIZER.weights[-1]
        priced = [
            (int(key), float(np.square(part).sum())) for key, part in zip(TOKENIZER.keys(codes), left, strict=True)
        ]
        found[item] = [priced[0], *sorted(priced[1:], key=lambda path: path[1])]
    return found


@pytest.fixture
def spread_by_spark(spark, tmp_path):
    def run(items: Items, places: list[tuple], settings, partitions: int = 2) -> Assignment:
        data = zip(items.ids, items.x.tolist(), items.exposure, items.hashes(), strict=True)
        df = spark.createDataFrame(list(data), SCHEMA).repartition(partitions)
        staging = Staging(str(tmp_path))
        empty = df.select("item_id").limit(0).selectExpr("item_id", "'' AS reason")
        done = assign_items(Catalogue(df, empty, "string", SimpleNamespace(set_aside={})), TOKENIZER, staging)
        known = spark.createDataFrame(places, PLACES) if places else None
        return spread(done, df, known, TOKENIZER, settings, staging)

    return run


def night_places(items: Items) -> list[tuple]:
    """Places of other items, of twins and of the items themselves, taken and held."""
    paths, hashes = _paths(items, 6), dict(zip(items.ids, items.hashes(), strict=True))
    rows_ = [("other-1", paths["item-03"][0][0], 0, 7, 0), ("other-2", paths["item-04"][1][0], 0, 8, 0)]
    rows_ += [("gone", paths["item-05"][0][0], 0, None, 1), ("item-06", paths["item-06"][2][0], 1, None, 1)]
    rows_ += [("item-09", paths["item-09"][1][0], 0, 9, 0), ("item-09", paths["item-09"][1][0], 0, None, 1)]
    return [*rows_, ("twin", paths["item-10"][3][0], 2, hashes["item-10"], 0)]


CASES = {
    "first": ({}, False),
    "by exposure": ({"stays": "exposure", "capacity": 2}, False),
    "night, each counts": ({"duplicates": "apart"}, True),
    "night": ({}, True),
}


@pytest.mark.parametrize("name", CASES)
def test_who_gets_which_sid(spread_by_spark, name):
    options, night = CASES[name]
    items, settings = Items.made(34), settings_of(candidates=6, **options)
    places = night_places(items) if night else []
    expected = model(items, places, settings)
    done = spread_by_spark(items, places, settings)
    found = by_id(done.rows, "sid", "codes", "moved_from", "residual_norm", "margin")
    assert {item: row[0] for item, row in found.items()} == expected
    own = dict(zip(items.ids, TOKENIZER.keys(TOKENIZER.encode(items.x).codes).tolist(), strict=True))
    moved = [item for item in items.ids if expected[item] != own[item]]
    assert len(moved) > 5
    assert {item: row[2] for item, row in found.items() if row[2] is not None} == {item: own[item] for item in moved}
    codes = np.array([found[item][1] for item in items.ids])
    assert TOKENIZER.keys(codes).tolist() == [expected[item] for item in items.ids]
    check_sums(done, items, codes, [found[item][3] for item in items.ids])


def test_rounds_on_spark_end_in_the_same(spread_by_spark, monkeypatch):
    monkeypatch.setattr(acceptance, "_ON_DRIVER", 0)
    items, settings = Items.made(34), settings_of(candidates=4)
    done = spread_by_spark(items, [], settings, partitions=5)
    assert {item: row[0] for item, row in by_id(done.rows, "sid").items()} == model(items, [], settings)


def check_sums(done: Assignment, items: Items, codes: np.ndarray, norms: list[float]) -> None:
    """Totals are those of the SIDs that items have in the end."""
    x = TOKENIZER.prepare_input(items.x).astype(np.float64)
    z, encoding = TOKENIZER.encode_prepared(items.x)
    decoded = TOKENIZER.decode(codes)
    assert np.isclose(done.totals.squared_error, ((x - decoded) ** 2).sum())
    assert np.isclose(done.encoded_squared_error, ((x - TOKENIZER.decode(encoding.codes)) ** 2).sum())
    cosines = (x * decoded).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(decoded, axis=1)
    assert np.isclose(done.totals.cosine, cosines.sum())
    left = z.astype(np.float64)
    for level, book in enumerate(TOKENIZER.codebooks):
        left = left - book[codes[:, level]]
        norm = np.linalg.norm(left * TOKENIZER.weights[-1], axis=1)
        assert np.isclose(done.totals.residual_square[level], (norm**2).sum())
    assert np.allclose(norms, norm, rtol=1e-6)
    assert done.totals_table().first().squared_error == done.totals.squared_error


def test_where_nothing_is_contested_everything_stays(spread_by_spark):
    items = Items.made(34)
    first = {sid: n for n, sid in reversed(list(enumerate(TOKENIZER.keys(TOKENIZER.encode(items.x).codes).tolist())))}
    alone = sorted(first.values())
    few = Items(items.x[alone], [1.0] * len(alone), [items.ids[n] for n in alone])
    done = spread_by_spark(few, [], settings_of())
    assert done.rows.where("moved_from IS NOT NULL").isEmpty()
    assert done.encoded_squared_error is None
