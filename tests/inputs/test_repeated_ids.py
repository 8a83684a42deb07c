"""Several rows with one id: which one counts, and what is said before any work."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pytest
from pipeline.catalogues import write
from pipeline.direct import by_id, config
from pyspark.sql import functions as F

from drq_spark.config import Items
from drq_spark.errors import InputRefused
from drq_spark.inputs.attributes import read_attributes
from drq_spark.inputs.identity import content_fingerprint
from drq_spark.inputs.items import read_catalogue
from drq_spark.inputs.repeated_ids import one_row_per_id, repeats_in_words
from drq_spark.inputs.second_version import check_after, read_after
from drq_spark.report.run_tables import names_of

NAN = float("nan")
ROWS = [  # id, vector, when, brand
    ("a", [1.0, 0.0], 1, "old"),
    ("a", [2.0, 0.0], 3, "new"),
    ("a", [3.0, 0.0], 2, "mid"),
    ("b", [4.0, 0.0], 1, "old"),
    ("b", None, 2, "new"),
    ("c", [5.0, 0.0], None, "unknown"),
    ("c", [6.0, 0.0], 0, "known"),
    ("d", [7.0, 0.0], 9, "same"),
    ("d", [7.0, 0.0], 9, "same"),
    ("e", [8.0, 0.0], 1, "only"),
]
TIMES = {
    "number": (pa.int32(), lambda n: n),
    "float": (pa.float64(), lambda n: NAN if n is None else n / 10),
    "date": (pa.date32(), lambda n: None if n is None else date(2026, 1, 1 + n)),
    "time": (pa.timestamp("us", "UTC"), lambda n: None if n is None else datetime(2026, 1, 1, n)),
    "nanoseconds": (pa.timestamp("ns"), lambda n: n),
}


def items(folder, kind: str = "number", rows=ROWS) -> str:
    when_type, when = TIMES[kind]
    ids, vectors, at, brands = zip(*rows, strict=True)
    columns = {"item_id": ids, "embedding": pa.array(vectors, pa.list_(pa.float32())), "brand": brands}
    return write(pa.table({**columns, "at": pa.array([when(n) for n in at], when_type)}), folder, files=3)


@pytest.mark.parametrize("kind", TIMES)
def test_the_newest_row_counts_whatever_it_holds(spark, tmp_path, kind):
    settings = config(items(tmp_path / "items", kind), "items.version=at", "items.attributes=[brand]")
    read = read_catalogue(spark, settings)
    kept = {item: values[0] for item, values in by_id(read.df, "embedding").items()}
    assert kept == {"a": (2.0, 0.0), "b": None, "c": (6.0, 0.0), "d": (7.0, 0.0), "e": (8.0, 0.0)}
    assert read.df.columns == ["item_id", "embedding", "exposure", "embedding_hash"]
    assert (read.profile.repeated, read.profile.undecided, read.quarantined.count()) == (4, 0, 5)
    assert read.notes == ("4 ids have several rows: of each the row with the highest 'at' counts",)
    if kind == "number":
        brands = by_id(read_attributes(spark, settings, "string"), "a_1")
        assert brands == {"a": ("new",), "b": ("new",), "c": ("known",), "d": ("same",), "e": ("only",)}


def test_names_are_those_of_the_newest_row(spark, tmp_path):
    settings = config(items(tmp_path / "items"), "items.version=at", "items.name=brand")
    assert names_of(spark, settings, ["a", "c", "none"]) == {"a": "new", "c": "known", "none": "none"}


def test_what_a_hash_decides_is_told(spark, tmp_path):
    path = items(tmp_path / "items")
    read = read_catalogue(spark, config(path))
    assert (read.profile.repeated, read.profile.undecided) == (4, 2)  # of b one has no embedding, those of d are equal
    assert read.notes[0].startswith("2 ids have several rows with different embeddings")
    assert "items.version" in read.notes[0]
    tied = items(tmp_path / "tied", rows=[*ROWS, ("a", [9.0, 0.0], 3, "new")])
    read = read_catalogue(spark, config(tied, "items.version=at"))
    assert read.profile.undecided == 1
    assert "1 ids of them have different embeddings of one newest 'at'" in read.notes[1]
    changed = items(tmp_path / "changed", rows=[*ROWS[:-1], ("e", [8.0, 0.0], 2, "only")])
    prints = [content_fingerprint(read_catalogue(spark, config(path, *sets)))
              for path in (path, changed) for sets in ((), ("items.version=at",))]  # fmt: skip
    assert prints[:2] == prints[2:]
    assert len(set(prints)) == 2  # the version counts where it tells which row stays


def test_words():
    plain, named = Items(), Items(version="at")
    assert repeats_in_words(0, 0, plain) == repeats_in_words(0, 0, named) == ()
    assert repeats_in_words(1200, 0, plain) == (
        "1,200 ids have several rows, all with the same embedding: one of each counts",
    )
    newest = "5 ids have several rows: of each the row with the highest 'at' counts"
    assert repeats_in_words(5, 0, named) == (newest,)
    assert repeats_in_words(5, 5, named) == (
        newest,
        "5 ids of them have different embeddings of one newest 'at': one counts",
    )
    (told,) = repeats_in_words(5, 3, plain)
    assert told.startswith("3 ids have several rows with different embeddings")
    assert "items.version" in told


@pytest.mark.parametrize("partitions", [1, 3])
def test_embedding_then_hash_then_exposure_decide_whatever_the_partitions(spark, partitions):
    """How often a row was shown decides between rows with one embedding only."""
    rows = [("a", 2, 5, 9.0), ("a", 2, -7, 1.0), ("a", 2, -7, 3.0), ("b", None, -9, 9.0), ("b", 2, 9, 0.0)]
    df = spark.createDataFrame(rows, "item_id string, size int, embedding_hash bigint, exposure double")
    kept, others = one_row_per_id(df.repartition(partitions), F.col("size"), duplicates=True)
    assert sorted(map(tuple, kept.collect())) == [("a", 2, -7, 3.0), ("b", 2, 9, 0.0)]
    assert others.count() == 3


def test_letters_do_not_tell_the_newest(spark, tmp_path):
    path = items(tmp_path / "items")
    with pytest.raises(InputRefused, match=r"column 'brand' \(items.version\) is string; it must be a number, a date"):
        read_catalogue(spark, config(path, "items.version=brand"))
    with pytest.raises(InputRefused, match=r"no column 'when' \(items.version\)"):
        read_catalogue(spark, config(path, "items.version=when"))


def after(spark, tmp_path, table: pa.Table, *sets: str) -> None:
    later = write(table, tmp_path / "later")
    settings = config(items(tmp_path / "items"), f"measure.embeddings_after={later}", *sets)
    check_after(spark, settings, read_catalogue(spark, settings))
    read_after(spark, settings, "string")


@pytest.mark.parametrize(
    ("ids", "vectors", "sets", "says"),
    [
        (["x", "y"], [[1.0, 2.0]] * 2, (), "has no id of the items table"),
        (["a", "b"], [[1.0, 2.0, 3.0]] * 2, (), "embeddings have 3 numbers, those of the items table 2"),
        (["a", "b"], [None, None], (), "embeddings have none, those of the items table 2"),
        (["a", "a"], [[1.0, 2.0], [3.0, 4.0]], ("items.version=at",), r"1 rows more than ids, and no column 'at'"),
        (["a", "x"], [[1.0, 2.0], [1.0]], ("items.version=at",), None),
    ],
)
def test_a_second_version_is_checked_before_any_work(spark, tmp_path, ids, vectors, sets, says):
    table = pa.table({"item_id": ids, "embedding": pa.array(vectors, pa.list_(pa.float32()))})
    if says is None:
        after(spark, tmp_path, table, *sets)
        return
    with pytest.raises(InputRefused, match=says):
        after(spark, tmp_path, table, *sets)
