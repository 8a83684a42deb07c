"""States in a table: night by night as in one go to the bit, twice as once, and none moved by events that come late."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from probe.planted_rankings import ITEMS, candidates
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from drq_spark.cli import main
from drq_spark.errors import ArtifactRefused, ConfigError, InputRefused
from drq_spark.inputs.event_log import position_number
from drq_spark.lease import Lease
from drq_spark.probe.behaviour_data import NO_ITEM
from drq_spark.probe.frozen_ranker import CELLS, FrozenRanker, load_ranker, save_ranker
from drq_spark.probe.item_vectors import SidVectors
from drq_spark.probe.ranker_training import STREAM
from drq_spark.probe.user_memory import FittedMemory, MemoryNetwork
from drq_spark.probe.user_states import NightOfStates, advance, score
from drq_spark.schemas import CURRENT_SIDS, PUBLISHED, USER_STATES
from drq_spark.store import Store
from drq_spark.train.runtime import seeded

START = datetime(2026, 1, 1)
KNOWN = ITEMS - 3  # the last items have no SID
CANDIDATES = candidates(np.arange(ITEMS))


def memory(cell: str = "mimn") -> FittedMemory:
    with seeded(3, STREAM):
        network = MemoryNetwork(SidVectors(CANDIDATES, 16), CELLS[cell](16), 8)
    return FittedMemory(network, network.vectors)


def frozen(folder: Path, cell: str = "mimn", tokenizer: str = "tok") -> FrozenRanker:
    return load_ranker(save_ranker(memory(cell), tokenizer, str(folder)))


def log(users: int = 90, hours: int = 72) -> list[tuple[str, str, datetime]]:
    """Events of users, some with many and some with one; one hour in four has two at one time."""
    random = np.random.default_rng(2)
    return [
        (f"u{user}", f"i{item}", START + timedelta(hours=int(hour)))
        for user in range(users)
        for hour in np.sort(random.permutation(hours)[: random.integers(1, hours // 2)])
        for item in random.integers(0, ITEMS, 1 + random.integers(0, 4) // 3)
    ]


@pytest.fixture(scope="module")
def store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """With published SIDs."""
    place = Store(spark, str(tmp_path_factory.mktemp("states")))
    rows = [(f"i{item}", CANDIDATES.codes[item].tolist()) for item in range(KNOWN)]
    sids = spark.createDataFrame(rows, "item_id string, codes array<int>")
    for column in CURRENT_SIDS.columns:
        if column.name not in sids.columns:
            value = "array()" if column.type.startswith("array") else "'2026-01-01'" if column.type == "date" else "0"
            sids = sids.withColumn(column.name, F.expr(value).cast(column.type))
    place.put(CURRENT_SIDS, sids, "run")
    pointer = spark.createDataFrame([("run", date(2026, 1, 1), "tok", 0, KNOWN)], PUBLISHED.ddl("string"))
    place.put(PUBLISHED, pointer, "run")
    return place


def night(store: Store, ranker: FrozenRanker, rows: list, parts: int = 2) -> NightOfStates:
    events = store.spark.createDataFrame(rows, "user string, item_id string, position timestamp").repartition(parts)
    return advance(store, ranker, events, Lease(store))


def states(store: Store, ranker: FrozenRanker) -> dict[str, tuple]:
    rows = store.read(USER_STATES).where(F.col("ranker_id") == ranker.ranker_id)
    return {row.user: tuple(row) for row in rows.drop("ranker_id", "night_events", "night_hash").collect()}


def test_nights_are_one_go_and_twice_is_once_and_what_is_late_is_told(store: Store, tmp_path: Path) -> None:
    """Every night is of other partitions; it is one test because each of them costs seconds."""
    ranker, rows, cut = frozen(tmp_path), log(), START + timedelta(hours=30)
    first, second = ([row for row in rows if (row[2] < cut) is early] for early in (True, False))
    told = [night(store, ranker, some, parts) for some, parts in ((first, 5), (second, 1))]
    before, version = states(store, ranker), store.version(USER_STATES)
    known = sum(int(item[1:]) < KNOWN for _, item, _ in rows)
    assert sum(one.events for one in told) == known < len(rows) == known + sum(one.unknown for one in told)
    assert all((one.repeated, one.late) == (0, 0) for one in told)
    assert_states_of_the_driver(before, rows)

    again = night(store, ranker, second, parts=3)
    assert again == NightOfStates(0, 0, told[1].events, 0, told[1].unknown)
    assert (states(store, ranker), store.version(USER_STATES)) == (before, version)

    other = [(user, "i5" if item != "i5" else "i6", at) for user, item, at in second if user == "u4"]
    late, fresh = ("u3", "i1", START - timedelta(hours=1)), ("u3", "i2", START + timedelta(hours=500))
    assert night(store, ranker, [late, fresh, *other]) == NightOfStates(1, 1, 0, 1 + len(other), 0)
    after = states(store, ranker)
    assert {user for user in after if after[user] != before[user]} == {"u3"}
    assert after["u3"][2] == before["u3"][2] + 1

    other_ranker = frozen(tmp_path, "hpmn")
    assert night(store, other_ranker, rows[:40]).users == len(states(store, other_ranker)) > 0
    assert states(store, ranker) == after  # rankers have states of their own

    shutil.rmtree(store.location(USER_STATES))
    whole = night(store, ranker, rows, parts=7)
    assert states(store, ranker) == before
    assert (whole.users, whole.events, whole.late) == (len(before), known, 0)


def assert_states_of_the_driver(found: dict[str, tuple], rows: list) -> None:
    """States and what stands beside them, for users without two events at one time."""
    fitted, compared = memory(), 0
    for user in {row[0] for row in rows}:
        own = [row for row in rows if row[0] == user and int(row[1][1:]) < KNOWN]
        if not own or len({row[2] for row in own}) < len(own):
            continue
        state, events, last = found[user][1:]
        items = np.array([[int(item[1:]) for _, item, _ in own]], np.int32)
        assert state == fitted.update(fitted.start(1), items)[0].tolist()
        assert (events, last) == (len(own), (own[-1][2] - datetime(1970, 1, 1)) // timedelta(microseconds=1))
        compared += 1
    assert compared > 5


def test_scores_come_from_states_alone(store: Store, tmp_path: Path) -> None:
    fitted, ranker = memory(), frozen(tmp_path)
    rows = [("s1", "i3", START), ("s1", "i9", START + timedelta(hours=1)), ("s2", "i20", START)]
    night(store, ranker, rows)
    shown = [(user, f"i{item}") for user in ("s1", "s2", "new") for item in (1, 30, ITEMS - 1)]
    df = store.spark.createDataFrame(shown, "user string, item_id string")
    found = {(row.user, row.item_id): row.score for row in score(store, ranker, df).collect()}
    assert set(found) == {pair for pair in shown if pair[1] != f"i{ITEMS - 1}"}
    histories = np.array([[3, 9], [NO_ITEM, 20], [NO_ITEM, NO_ITEM]], np.int32)
    expected = fitted.scores(histories, np.array([[1, 30]] * 3, np.int32))
    np.testing.assert_allclose([found[pair] for pair in shown if pair in found], expected.ravel(), atol=1e-5)


def test_the_command_moves_states_and_says_what_it_left_out(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranker = load_ranker(save_ranker(memory("hpmn"), "tok", store.rankers))
    events = {"user_id": ["c1", "c1", "c2"], "item_id": ["i1", "i2", f"i{KNOWN}"], "timestamp": [5, 7, 9]}
    pq.write_table(pa.table(events), tmp_path / "night.parquet")
    asked = ["states", "--ranker", ranker.ranker_id, "--events", str(tmp_path / "night.parquet"), "--out", store.out]
    assert main(asked) == main(asked) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 new events moved the states of 1 users" in shown
    assert "1 of items without a SID moved none" in shown
    assert "0 new events moved the states of 0 users; 2 were given the night before, too" in shown
    assert main([*asked[:3], *asked[5:]]) == 2
    assert "give --events" in capsys.readouterr().err


def test_what_would_move_states_wrongly_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SIDs of tokenizer other, and readers follow tok"):
        night(store, frozen(tmp_path, tokenizer="other"), log(users=1))
    texts = store.spark.createDataFrame([("u", "i1", "first")], "user string, item_id string, position string")
    with pytest.raises(InputRefused, match="order is text"):
        advance(store, frozen(tmp_path), texts, Lease(store))
    nowhere = Store(store.spark, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="no published SIDs"):
        night(nowhere, frozen(tmp_path), log(users=1))


def test_positions_of_every_kind_are_exact_numbers(spark: SparkSession) -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 7)
    big = 2**62 + 1
    for value, kind, expected in [
        (big, "bigint", Decimal(big)),
        (date(1970, 1, 3), "date", Decimal(2)),
        (0.25, "double", Decimal("0.25")),
        (Decimal("1.000000001"), "decimal(38,9)", Decimal("1.000000001")),
        (at, "timestamp_ntz", Decimal((at - datetime(1970, 1, 1)) // timedelta(microseconds=1))),
    ]:
        rows: DataFrame = spark.createDataFrame([(value,)], f"position {kind}")
        assert rows.select(position_number(rows).alias("n")).first().n == expected


def test_a_ranker_is_known_by_its_content(tmp_path: Path) -> None:
    folder = Path(save_ranker(memory("hpmn"), "tok", str(tmp_path)))
    kept = load_ranker(f"{folder}/")
    assert kept.ranker_id == folder.name
    assert (kept.tokenizer_id, kept.levels) == ("tok", 2)
    known = kept.memory.knowing(CANDIDATES.codes)
    items = np.array([[3, 40, NO_ITEM, 7]], np.int32)
    assert np.array_equal(known.update(known.start(1), items), memory("hpmn").update(known.start(1), items))
    assert save_ranker(memory("hpmn"), "tok", str(tmp_path)) == str(folder)
    assert save_ranker(memory("hpmn"), "tok2", str(tmp_path)) != str(folder)
    (folder / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactRefused, match="was changed after it was written"):
        load_ranker(str(folder))
    with pytest.raises(ArtifactRefused, match="--ranker names a folder that drq probe has left"):
        load_ranker(str(tmp_path / "nothing"))


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_has_the_same_bits_whoever_is_moved_with_it(cell: str) -> None:
    fitted, random = memory(cell), np.random.default_rng(0)
    items = random.integers(0, ITEMS, (150, 9)).astype(np.int32)
    together = fitted.update(fitted.start(150), items)
    order = random.permutation(150)
    for some in (order, order[:1], order[:65]):
        assert np.array_equal(fitted.update(fitted.start(len(some)), items[some]), together[some])
