"""One reading of the embeddings for the sample and the pairs: what is drawn is what each would draw from its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pipeline.catalogues import Rows, plain
from pipeline.direct import config
from pipeline.readings import counting
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.config import Config
from drq_spark.errors import InputRefused
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import Events, events_of
from drq_spark.inputs.items import Catalogue, read_catalogue
from drq_spark.kinds import KINDS
from drq_spark.sample.candidate_rows import look_at
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.pairs import draw_behaviour, near_pairs
from drq_spark.sample.step import drawn
from drq_spark.staging import Staging

DIM, ITEMS = 4, 400
BAD = [float("nan")] * DIM
FEW = "sample.size=60"
LAYOUTS = [1, 3, 16]


@pytest.fixture(autouse=True)
def learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if rq_kmeans, which is trained quickest, learned from events."""
    monkeypatch.setitem(KINDS, "rq_kmeans", replace(KINDS["rq_kmeans"], events="used"))


@dataclass(frozen=True)
class Given:
    """What a draw is given, and a file with one byte for each embedding that was read."""

    catalogue: Catalogue
    events: Events
    config: Config
    folder: Path

    def readings(self) -> float:
        """How often the embeddings of all items have been read."""
        return (self.folder / "read").stat().st_size / self.catalogue.df.count()


def given(
    spark: SparkSession, folder: Path, rows: Rows, seen: Sequence[str], *settings: str, partitions: int = 3
) -> Given:
    """Views of so many partitions, the items of the events in this order dealt to ten users."""
    users = [f"user-{place % 10}" for place in range(len(seen))]
    events = pa.table({"user_id": users, "item_id": list(seen), "timestamp": list(range(len(seen)))})
    for name, table in (("candidate_items", rows.table()), ("candidate_events", events)):
        spark.createDataFrame(table).repartition(partitions, F.rand(3)).createOrReplaceTempView(name)
    chosen = config("candidate_items", "events.path=candidate_events", "tokenizer.name=rq_kmeans", *settings)
    catalogue = read_catalogue(spark, chosen)
    log = read_event_log(spark, chosen, catalogue.id_type)
    events_read = events_of(log, catalogue.df, chosen, Staging(f"{folder}/events"))
    assert events_read is not None
    counted = catalogue.df.withColumn("embedding", counting(folder / "read", "embedding"))
    return Given(replace(catalogue, df=counted, events=events_read), events_read, chosen, folder)


def seen_items(rows: Rows, events: int = 600) -> list[str]:
    """Items of events: any but the first hundred, all as often."""
    return np.random.default_rng(5).choice(rows.ids[100:], events).tolist()


def spoiled(rows: Rows, every: int) -> Rows:
    """The same items, of which each `every`-th alone has a usable embedding."""
    return replace(rows, embeddings=tuple(e if n % every == 0 else BAD for n, e in enumerate(rows.embeddings)))


def content(*tables: DataFrame) -> list[tuple[list[tuple[str, str]], list[str]]]:
    """Columns with their types, and rows in order of their text, of some tables."""
    return [(table.dtypes, sorted(map(repr, table.collect()))) for table in tables]


def together(what: Given) -> list[tuple[list[tuple[str, str]], list[str]]]:
    """Sample, items of pairs and pairs, as the step draws them."""
    found = drawn(what.catalogue, what.config, Staging(f"{what.folder}/together"))
    assert found.behaviour is not None
    return content(found.items.drop("exposure"), found.behaviour.items, found.behaviour.pairs)


def apart(what: Given) -> list[tuple[list[tuple[str, str]], list[str]]]:
    """The same from a reading of the embeddings for each."""
    staging = Staging(f"{what.folder}/apart")
    items = draw_sample(what.catalogue, what.config, staging)
    near = near_pairs(what.catalogue, what.events, what.config)
    own = look_at(what.catalogue, what.config, staging, "own", items=near.items())
    behaviour = draw_behaviour(near, own, what.catalogue, what.events, what.config, staging)
    columns = [name for name in items.columns if name != "exposure"]
    return content(items.select(columns), behaviour.items, behaviour.pairs)


def ids(rows: list[str]) -> set[str]:
    """The item ids in the text of rows."""
    return {row.split("item_id='")[1].split("'")[0] for row in rows}


@pytest.mark.parametrize("partitions", LAYOUTS)
def test_sample_and_pairs_cost_one_reading_and_are_those_of_two(
    spark: SparkSession, tmp_path: Path, partitions: int
) -> None:
    rows = plain(ITEMS, DIM).plus(["bad", "none"], [BAD, None])
    what = given(spark, tmp_path, rows, seen_items(rows), FEW, partitions=partitions)
    found = together(what)
    assert what.readings() == 1
    assert found == apart(what)
    assert what.readings() == 3
    sampled, in_pairs = ids(found[0][1]), ids(found[1][1])
    assert len(sampled) == 60
    assert sampled - in_pairs
    assert len(in_pairs - sampled) > 20
    assert len(in_pairs) in (59, 60)


def test_a_catalogue_that_is_its_own_sample_is_read_once_whatever_becomes_of_the_pairs(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = spoiled(plain(ITEMS, DIM), 3)
    what = given(spark, tmp_path, rows, seen_items(rows), "items.max_bad_share=1", "events.max_pairs=30")
    found = together(what)
    assert what.readings() == 1
    assert found == apart(what)
    assert what.readings() > 3  # of pairs alone more than one round


def test_further_rounds_of_one_leave_the_rows_of_the_other(spark: SparkSession, tmp_path: Path) -> None:
    rows = spoiled(plain(ITEMS, DIM), 3)
    what = given(spark, tmp_path, rows, seen_items(rows), "items.max_bad_share=1", FEW)
    found = together(what)
    assert what.readings() > 2
    assert found == apart(what)


def test_bad_items_of_pairs_are_no_bad_rows_of_the_sample(spark: SparkSession, tmp_path: Path) -> None:
    """Every twentieth item is bad; users saw all of those and a few others."""
    good = plain(ITEMS, DIM)
    rows = replace(good, embeddings=tuple(BAD if n % 20 == 0 else e for n, e in enumerate(good.embeddings)))
    seen = np.random.default_rng(5).choice(rows.ids[::20], 200).tolist() + seen_items(rows.taken(range(115)), 200)
    what = given(spark, tmp_path, rows, seen, "items.max_bad_share=0.15", FEW)
    found = together(what)
    assert what.readings() == 1
    assert found == apart(what)


def test_a_refused_sample_is_told_before_events_without_pairs(spark: SparkSession, tmp_path: Path) -> None:
    rows, told = spoiled(plain(ITEMS, DIM), 10), []
    what = given(spark, tmp_path, rows, [rows.ids[7]] * 20, FEW)
    with pytest.raises(InputRefused, match="no usable embedding"):
        drawn(what.catalogue, what.config, Staging(f"{tmp_path}/refused"), told.append)
    assert told == []
