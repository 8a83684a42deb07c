"""Ids of a map against those of the items: matched first, by number of row where asked, shifted where told."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from external.local import index_json, parquet

from drq_spark.config import load_config
from drq_spark.errors import InputRefused
from drq_spark.external.known_ids import known_ids
from drq_spark.external.shifted_ids import shift_note
from drq_spark.external.sid_map import read_sids
from drq_spark.measure.item_sample import ItemSample

N = 40
IDS = [f"B{n:02d}" for n in range(N)]
CODES = {n: [n % 5, n // 5] for n in range(N)}


@pytest.fixture
def items(tmp_path):
    """The items in three files, out of the order of their ids; row n is item IDS[n]."""
    folder = tmp_path / "items"
    folder.mkdir()
    for part, rows in enumerate((range(15), range(15, 16), range(16, N))):
        parquet(folder / f"part-{part}.parquet", item_id=[IDS[n] for n in rows], embedding=[[float(n)] for n in rows])
    return str(folder)


def read(spark, path, items, *more):
    config = load_config(options={"sids.path": str(path), "items.path": items}, settings=more)
    found = read_sids(spark, config, known_ids(spark, config))
    return {row.item_id: list(row.codes) for row in found.df.collect()}, found


def test_row_numbers_are_rows_of_the_items_files(spark, tmp_path, items):
    """Keys of a document, rows of an array, of a CSV, and of Parquet files."""
    expected = {IDS[n]: row for n, row in CODES.items()}
    rows = list(CODES.values())
    np.save(tmp_path / "m.npy", np.array(rows))
    (tmp_path / "m.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    (tmp_path / "m").mkdir()
    for part, some in enumerate((rows[:7], rows[7:])):
        parquet(tmp_path / "m" / f"{part}.parquet", codes=some)
    for path in (index_json(tmp_path / "m.json", CODES), tmp_path / "m.npy", tmp_path / "m.csv", tmp_path / "m"):
        assert read(spark, path, items, "sids.id=row")[0] == expected, path
    shifted = index_json(tmp_path / "one.json", {n + 1: row for n, row in CODES.items()})
    assert read(spark, shifted, items, "sids.id=row", "sids.id_shift=-1")[0] == expected
    beyond, found = read(spark, shifted, items, "sids.id=row")
    assert (len(beyond), found.rows, [row.reason for row in found.quarantined.collect()]) == (
        N - 1,
        N,
        ["unknown_item"],
    )


def test_other_ids_are_refused_with_the_setting(spark, tmp_path, items):
    path = index_json(tmp_path / "m.json", CODES)
    with pytest.raises(InputRefused) as told:
        read(spark, path, items)
    for part in ("of 40 rows 0 have an id", "'0', '1', '10'", "'B00', 'B01', 'B02'", "do sids.id and items.id hold",
                 "If 0 to 39 are rows of the items file in their order: --set sids.id=row"):  # fmt: skip
        assert part in str(told.value)
    with pytest.raises(InputRefused, match=r"--set sids.id=row --set sids.id_shift=-1$"):
        read(spark, index_json(tmp_path / "n.json", {n + 1: row for n, row in CODES.items()}), items)
    with pytest.raises(InputRefused, match=r"hold the same ids\?$"):
        read(spark, index_json(tmp_path / "o.json", {f"C{n}": row for n, row in CODES.items()}), items)


def test_rows_of_a_table_have_no_numbers(spark, tmp_path, items):
    spark.read.parquet(items).createOrReplaceTempView("items_without_order")
    path = index_json(tmp_path / "m.json", CODES)
    with pytest.raises(InputRefused, match="have no order: give Parquet files, or a map with ids"):
        read(spark, path, "items_without_order", "sids.id=row")


def test_events_alone_must_know_one_of_the_ids(spark, tmp_path):
    events = parquet(tmp_path / "e.parquet", user_id=[1, 1], item_id=["B00", "x"], timestamp=[1, 2])
    path = tmp_path / "m.json"
    for ids, refused in ((["B00", "y", "z"], False), (["y", "z"], True)):
        path.write_text(json.dumps({item: [0, 1] for item in ids}))
        config = load_config(options={"sids.path": str(path), "events.path": events})
        if refused:
            with pytest.raises(InputRefused, match=r"those of the events table such as 'B00', 'x'; do sids.id"):
                read_sids(spark, config, known_ids(spark, config))
        else:
            assert read_sids(spark, config, known_ids(spark, config)).df.count() == len(ids)


@pytest.mark.parametrize(("moved", "says"), [(0, None), (1, "set sids.id_shift=-1"), (7, "Do sids.id and items.id")])
def test_shifted_ids_are_told_by_the_embeddings(spark, tmp_path, moved, says):
    random = np.random.default_rng(0)
    codes = random.integers(0, 8, (400, 2))
    x = (random.normal(size=(8, 4))[codes[:, 0]] + 0.1 * random.normal(size=(400, 4))).astype(np.float32)
    items = parquet(tmp_path / "items.parquet", item_id=list(range(400)), embedding=x.tolist())
    path = index_json(tmp_path / "m.json", {n + moved: row for n, row in enumerate(codes.tolist())})
    config = load_config(options={"sids.path": path, "items.path": items})
    known = known_ids(spark, config)
    seen = range(moved, 400)  # items that the map names
    sample = ItemSample(codes[: len(seen)].astype(np.int32), x[moved:], True, pa.array([str(n) for n in seen]))
    told = shift_note(spark, config, known, sample)
    assert told is None if says is None else says in told
