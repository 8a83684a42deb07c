"""Nights after a published run: who does not change does not move, and readers find whole nights only."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable
from pipeline.catalogues import Rows, listing, write
from pipeline.nights import command
from pipeline.reference import rows_of, stored_figures

from drq_spark.errors import ConfigError
from drq_spark.progress import SILENT
from drq_spark.reference import Artifact
from drq_spark.run_state import pointers
from drq_spark.runs import Run, open_run
from drq_spark.store import Store
from drq_spark.upkeep.vacuum import clearance

pytestmark = pytest.mark.timeout(1800)
GONE = [f"item-{n:05d}" for n in range(100, 105)]
MOVED = [f"item-{n:05d}" for n in range(200, 203)]
UNUSABLE = "item-00300"
ADDED = [f"later-{n}" for n in range(4)]


@dataclass
class Shop:
    """A copy of the folder of `nights`, where the second run is published, and what a night is made of."""

    out: Path
    arguments: tuple[str, ...]
    before: dict[str, dict[str, Any]]
    items: str
    base: str
    killed: tuple[str, dict[str, Any]]
    looked_at: tuple[tuple[int, str, str], ...]

    def night(self, *more: str, word: str = "nightly", date: str = "2026-01-04") -> tuple[int, str, str]:
        """What a command says of the night."""
        return command([word, "--out", str(self.out), "--run-date", date, *self.arguments, *more])


def table(out: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a table as another engine finds them."""
    return DeltaTable(str(out / "tables" / name)).to_pyarrow_table().to_pylist()


def readers(out: Path, channel: str = "") -> dict[str, dict[str, Any]]:
    """What readers find, by item."""
    return {row["item_id"]: row for row in table(out, f"current_sids{channel}")}


def place(row: dict[str, Any]) -> tuple[int, int]:
    return row["sid"], row["suffix"]


def next_night(nights) -> tuple[Rows, Rows]:
    """The catalogue of the second run, and the one of the night after."""
    ids = sorted(nights.second.vectors)
    rows = Rows(tuple(ids), tuple(nights.second.vectors[item].tolist() for item in ids))
    vectors = dict(zip(ids, rows.embeddings, strict=True))
    for item in GONE:
        del vectors[item]
    for item in MOVED:
        vectors[item] = (-np.array(vectors[item], np.float32)).tolist()
    vectors[UNUSABLE] = None
    twin = rows.embeddings[ids.index("item-00400")]
    vectors |= {item: twin for item in ADDED}
    return rows, Rows(tuple(vectors), tuple(vectors.values()))


@pytest.fixture(scope="module")
def shop(nights, tmp_path_factory):
    """A night of which the pointer is not moved: its process was killed when current_sids had been changed."""
    base = tmp_path_factory.mktemp("nightly")
    out = Path(shutil.copytree(nights.out, base / "out"))
    before, rows = next_night(nights)
    items = write(rows.shuffled(7), base / "night", 2)
    places = [*nights.second.arguments]
    places[places.index("--items") + 1] = items
    shape = places.index("--levels")
    made = Shop(
        out, tuple(places[:shape] + places[shape + 4 :]), readers(out), write(before, base / "back"), "", ("", {}), ()
    )
    unwritten = listing(out)
    made.looked_at = (made.night("--dry-run"), made.night("--dry-run", "--set", "nightly.max_gone=0"))
    assert listing(out) == unwritten

    def kill(run: Run) -> None:
        raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "move_pointer", kill)
        with pytest.raises(InterruptedError):
            made.night()
    made.base = nights.second.run_id
    made.killed = (table(out, "published")[0]["run_id"], readers(out))
    assert made.night()[0] == 0
    return made


@pytest.fixture(scope="module")
def run_id(shop):
    return table(shop.out, "published")[0]["run_id"]


@pytest.fixture(scope="module")
def vectors(nights):
    _, rows = next_night(nights)
    return dict(zip(rows.ids, rows.embeddings, strict=True))


def test_a_full_run_is_what_readers_find(nights, shop):
    assert {row["run_id"] for row in shop.before.values()} == {nights.second.run_id}
    of_run = {row["item_id"]: row for row in rows_of(nights.out, "sids", nights.second.run_id)}
    names = ("codes", "sid", "suffix", "margin", "residual_norm", "embedding_hash", "tokenizer_id")
    assert {item: [row[name] for name in names] for item, row in shop.before.items()} == {
        item: [row[name] for name in names] for item, row in of_run.items()
    }


def test_unchanged_items_stay_as_they_are(shop, vectors):
    now = readers(shop.out)
    assert now.keys() == vectors.keys() - {UNUSABLE}
    for item in now.keys() - {*MOVED, *ADDED}:
        assert now[item] == shop.before[item]


def test_new_and_changed_items_have_the_codes_of_the_published_tokenizer(shop, run_id, vectors):
    now = readers(shop.out)
    folder = shop.out / "tokenizers" / now[ADDED[0]]["tokenizer_id"]
    artifact = Artifact.read(folder)
    for item in (*MOVED, *ADDED):
        assert now[item]["codes"] == list(artifact.encode(np.array(vectors[item], np.float32)).codes)
        assert now[item]["run_id"] == run_id
    twins = [place(now[item]) for item in ADDED]
    assert len({place(row) for row in now.values()}) == len(now)
    assert [suffix for _, suffix in twins] == list(range(twins[0][1], twins[0][1] + len(ADDED)))


def test_a_killed_night_is_whole_for_readers_and_told_once(shop, run_id):
    followed, found = shop.killed
    assert (followed, found) == (shop.base, readers(shop.out))
    version = DeltaTable(str(shop.out / "tables" / "current_sids")).version()
    now, told = readers(shop.out), [row for row in table(shop.out, "sid_changes") if row["version"] == version]
    expected = {item: ("removed", *place(shop.before[item]), None, None) for item in (*GONE, UNUSABLE)}
    expected |= {item: ("moved", *place(shop.before[item]), *place(now[item])) for item in MOVED}
    expected |= {item: ("added", None, None, *place(now[item])) for item in ADDED}
    names = ("change", "old_sid", "old_suffix", "sid", "suffix")
    assert {row["item_id"]: tuple(row[name] for name in names) for row in told} == expected
    assert len(told) == len(expected)
    assert {row["run_id"] for row in told} == {run_id}


def test_figures_of_a_night_are_those_of_all_items(shop, run_id, vectors):
    now, figures = readers(shop.out), stored_figures(shop.out, run_id)
    items = sorted(now)

    def figure(name: str) -> float:
        return next(value for key, value in figures.items() if key[:3] == (name, 0, "items"))

    assert figure("items") == len(items)
    assert figure("quarantine_rate") == pytest.approx(1 / (len(items) + 1))
    assert figure("unique_sids") == len({row["sid"] for row in now.values()})
    both = now.keys() & shop.before.keys()
    moved = sum(now[item]["codes"] != shop.before[item]["codes"] for item in both)
    assert figure("churn") == pytest.approx(moved / len(both))
    artifact = Artifact.read(shop.out / "tokenizers" / now[items[0]]["tokenizer_id"])
    x = np.array([vectors[item] for item in items], np.float64)
    decoded = np.array([artifact.decode(now[item]["codes"]) for item in items])
    error = np.square(x - decoded).sum() / np.square(x - x.mean(axis=0)).sum()
    assert math.isclose(figure("relative_mse"), error, rel_tol=1e-5)


def test_a_dry_run_tells_what_the_night_does_and_whether_it_would_be_refused(shop, run_id):
    """The item whose embedding cannot be used is told by encoding alone: it counts as changed here."""
    (code, said, _), (refused, _, error) = shop.looked_at
    assert (code, refused) == (0, 3)
    lines = [line for line in said.splitlines() if "  " in line.strip()]
    told = {name.strip(): value.strip() for name, value in (line.strip().split("  ", 1) for line in lines)}
    known = len(shop.before)
    assert told["items as they are"] == f"{known - len(GONE) - len(MOVED) - 1:,} keep SID and suffix"
    assert told["new items"] == str(len(ADDED))
    assert told["with another embedding"].startswith(f"{len(MOVED) + 1}, ")
    assert told["gone"].startswith(f"{len(GONE)}, ")
    assert told["leave current_sids"].startswith(f"{len(GONE)};")
    assert "raise nightly.max_gone" in " ".join(error.split())
    assert run_id in shop.night("--dry-run")[1]


def test_the_same_night_again_changes_nothing(shop, run_id):
    before = {path: path.stat().st_mtime_ns for path in (shop.out / "tables").rglob("*.json")}
    assert shop.night(date="2026-01-05")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in (shop.out / "tables").rglob("*.json")} == before
    assert table(shop.out, "published")[0]["run_id"] == run_id


def test_the_same_rows_in_files_written_anew_are_a_night_without_changes(nights, shop, run_id, tmp_path):
    """Nothing is encoded at all: the item whose embedding cannot be used has left, and is left out here."""
    _, rows = next_night(nights)
    kept = [number for number, item in enumerate(rows.ids) if item != UNUSABLE]
    places = [*shop.arguments]
    places[places.index("--items") + 1] = write(rows.taken(kept), tmp_path / "again")
    out = Path(shutil.copytree(shop.out, tmp_path / "out"))
    code, said, _ = replace(shop, out=out, arguments=tuple(places)).night(date="2026-01-06")
    assert code == 0
    assert "0 new items, 0 with another embedding, 0 gone" in said
    now = table(out, "published")[0]["run_id"]
    assert now != run_id
    before, after = ({item: place(row) for item, row in readers(where).items()} for where in (shop.out, out))
    assert before == after
    assert not [row for row in table(out, "sid_changes") if row["run_id"] == now]


def test_an_old_night_is_refused(shop, run_id):
    code, _, error = shop.night(date="2025-12-31")
    assert code == 5
    assert run_id in error
    assert error.count("\n") <= 4


def test_another_catalogue_is_told(shop, nights, tmp_path):
    rows = Rows(("a", "b"), ([1.0, 2.0], [2.0, 1.0]))
    code, _, error = shop.night("--items", write(rows, tmp_path / "other"))
    assert code == 3
    assert "this is another catalogue" in " ".join(error.split())


def test_who_comes_back_finds_its_own_place_and_readers_can_be_moved_back(shop, run_id):
    """The catalogue of the second run again, by a run that carries all SIDs over and writes all rows."""
    night = readers(shop.out)
    code, _, error = shop.night("--items", shop.items, "--tokenizer-from", "published", word="run", date="2026-01-06")
    assert code == 0, error
    now = readers(shop.out)
    assert {item: place(row) for item, row in now.items()} == {item: place(row) for item, row in shop.before.items()}
    latest = table(shop.out, "published")[0]["run_id"]
    slice_ = rows_of(shop.out, "sids", latest)
    assert {row["item_id"]: place(row) for row in slice_} == {item: place(row) for item, row in now.items()}
    code, _, error = command(["publish", "--out", str(shop.out), "--run", run_id])
    assert code == 0, error
    assert readers(shop.out) == night
    version = DeltaTable(str(shop.out / "tables" / "current_sids")).version()
    told = {row["item_id"]: row["change"] for row in table(shop.out, "sid_changes") if row["version"] == version}
    expected = dict.fromkeys((*GONE, UNUSABLE), "removed") | dict.fromkeys(MOVED, "moved")
    assert told == expected | dict.fromkeys(ADDED, "added")


@pytest.fixture(scope="module")
def promoted(nights, shop, tmp_path_factory):
    """A retraining for the readers of `next`, which is then given to those of live."""
    out = Path(shutil.copytree(nights.out, tmp_path_factory.mktemp("channels") / "out"))
    line = ("nightly", "--channel", "next", "--out", str(out), *shop.arguments, "--retrain", "--run-date", "2026-01-05")
    told = [command([*line, "--set", "train.stability.budget=0.5"])]
    found = {"next": (readers(out, "_next"), table(out, "published_next")[0], table(out, "sid_changes_next"))}
    found["live"] = (readers(out), table(out, "published")[0], table(out, "sid_changes"))
    told.append(command([*line, "--set", "train.stability.budget=0.5"]))
    told.append(command(["publish", "--out", str(out), "--run", found["next"][1]["run_id"], "--channel", "live"]))
    found["given"] = (readers(out), table(out, "published")[0], table(out, "sid_changes"))
    assert [code for code, _, _ in told] == [0, 0, 0], told
    assert "Nothing was written" in told[1][1]
    return out, found


def test_a_retraining_moves_few_and_live_readers_notice_nothing(nights, shop, promoted):
    out, found = promoted
    now, pointer, changes = found["next"]
    state = rows_of(out, "runs", pointer["run_id"])[0]
    assert (state["mode"], state["base_run_id"], state["channel"]) == ("retrained", nights.second.run_id, "next")
    assert now.keys() == shop.before.keys() - {*GONE, UNUSABLE} | set(ADDED)
    assert {row["run_id"] for row in now.values()} == {state["run_id"]}
    told = Artifact.read(out / "tokenizers" / state["tokenizer_id"]).header["training"]["retrained"]
    assert told["from"] == rows_of(out, "runs", nights.second.run_id)[0]["tokenizer_id"]
    both = now.keys() & shop.before.keys()
    stay = {item for item in both if now[item]["sid"] == shop.before[item]["sid"]}
    assert len(stay) > 0.9 * len(both)
    assert all(place(now[item]) == place(shop.before[item]) for item in stay)
    assert {row["item_id"]: row["change"] for row in changes} == dict.fromkeys(now, "added")
    assert found["live"][0] == shop.before
    assert found["live"][1]["run_id"] == nights.second.run_id
    assert {path.name for path in out.glob("report*")} == {"report.html", "report_next.html"}


def test_a_run_of_another_channel_is_given_to_live_readers_with_its_changes(spark, nights, shop, promoted):
    out, found = promoted
    now, pointer, changes = found["given"]
    assert now == found["next"][0]
    assert pointer["run_id"] == found["next"][1]["run_id"] == table(out, "published_next")[0]["run_id"]
    told = {row["item_id"]: row for row in changes if row["run_id"] == pointer["run_id"]}
    both = now.keys() & shop.before.keys()
    moved = {item for item in both if place(now[item]) != place(shop.before[item])}
    expected = dict.fromkeys((*GONE, UNUSABLE), "removed") | dict.fromkeys(moved, "moved")
    assert {item: row["change"] for item, row in told.items()} == expected | dict.fromkeys(ADDED, "added")
    old = found["live"][1]["tokenizer_id"]
    assert {row["change"]: row["old_tokenizer_id"] for row in told.values()} == {
        "removed": old, "moved": old, "added": None
    }  # fmt: skip
    store = Store(spark, str(out))
    assert set(pointers(store)) == {"live", "next"}
    run = open_run(store, pointer["run_id"], SILENT)
    assert [state.run_id for state in clearance(run, keep=1).runs] == [nights.second.run_id, nights.first.run_id]
    with pytest.raises(ConfigError, match="is published"):
        run.refuse_followed()


def test_status_and_history_tell_of_every_channel_and_live_goes_on_from_what_it_was_given(shop, promoted):
    out, found = promoted
    run_id = found["given"][1]["run_id"]
    _, status, _ = command(["status", "--out", str(out)])
    assert f"readers follow {run_id}" in status
    assert f"readers of next follow {run_id}" in status
    _, history, _ = command(["history", "--out", str(out)])
    assert next(line for line in history.splitlines() if line.strip().startswith(run_id)).count("*") == 2
    code, said, error = command(
        ["nightly", "--out", str(out), "--run-date", "2026-01-07", *shop.arguments, "--dry-run"]
    )
    assert (code, error) == (0, "")
    assert f"run {run_id}, tokenizer {found['next'][1]['tokenizer_id']}" in said
