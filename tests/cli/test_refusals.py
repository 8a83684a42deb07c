"""What is wrong with arguments or tables is said in one line, with the right exit code, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipeline.catalogues import clustered, listing, plain, settings, write
from pipeline.nights import command

pytestmark = [pytest.mark.usefixtures("spark"), pytest.mark.timeout(600)]

DIM = 4
GOOD = plain(60, DIM)


def changed(**columns: pa.Array) -> pa.Table:
    """The good table with other columns."""
    table = GOOD.table()
    for name, column in columns.items():
        place = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, column) if place is None else table.set_column(place, name, column)
    return table


def floats(rows: list[list[float | None]]) -> pa.Array:
    """A list<float> column."""
    return pa.array(rows, pa.list_(pa.float32()))


def events(**columns: pa.Array) -> pa.Table:
    """An events table that fits the good items."""
    return pa.table({"user_id": [1, 1], "item_id": ["item-00000", "item-00001"], "timestamp": [1, 2], **columns})


def mixed() -> pa.Table:
    """More than half of the rows are of lengths that no other rows have."""
    odd = [[1.0] * (DIM + 1 + n) for n in range(len(GOOD) + 1)]
    return GOOD.plus([f"odd-{n}" for n in range(len(odd))], odd).table()


@dataclass(frozen=True)
class Case:
    """Arguments after `run --out OUT`; `{items}`, `{events}` and `{folder}` stand for paths."""

    code: int
    says: str
    items: Callable[[], pa.Table] = GOOD.table
    more: tuple[str, ...] = ()
    events: Callable[[], pa.Table] | None = None
    source: str = "{items}"


CASES = {
    "missing embedding column": Case(3, "no column 'embedding'", lambda: GOOD.table().drop_columns(["embedding"])),
    "missing id column": Case(3, "did you mean 'item_id'?", more=settings("items.id=itemid", sets=())),
    "all missing columns at once, and what to do": Case(
        3,
        "no column 'sku' (items.id) and no column 'vector' (items.embedding) and no column 'views' (items.exposure) "
        "and no column 'kind' (items.attributes) and no column 'brand' (items.attributes): It has item_id, "
        "embedding; name yours with --set items.id=COLUMN --set items.embedding=COLUMN --set items.exposure=COLUMN "
        "--set items.attributes=COLUMN",
        more=settings(
            "items.id=sku", "items.embedding=vector", "items.exposure=views", "items.attributes=[kind,brand]", sets=()
        ),
    ),
    "no GPUs in one process": Case(2, "where it gives tasks no GPU", more=settings("assign.device=gpu", sets=())),
    "missing exposure column": Case(3, "no column 'shown'", more=settings("items.exposure=shown", sets=())),
    "embedding is text": Case(3, "must be array<float>", lambda: changed(embedding=pa.array(["x"] * 60))),
    "id is a float": Case(3, "cast it", lambda: changed(item_id=pa.array(np.arange(60) / 2))),
    "exposure is text": Case(
        3, "it must be a number", lambda: changed(shown=pa.array(["1"] * 60)), settings("items.exposure=shown", sets=())
    ),
    "all embeddings NULL": Case(3, "all are NULL or empty", lambda: changed(embedding=floats([None] * 60))),
    "all embeddings NaN": Case(3, "60 not_finite", lambda: changed(embedding=floats([[float("nan")] * DIM] * 60))),
    "all embeddings placeholders": Case(3, "60 too_large", lambda: changed(embedding=floats([[1e30] * DIM] * 60))),
    "all ids NULL": Case(3, "NULL in all 60 rows", lambda: changed(item_id=pa.nulls(60, pa.string()))),
    "mostly mixed lengths": Case(3, "61 wrong_dimension", mixed),
    "all zero under l2": Case(
        3,
        "60 zero_norm",
        lambda: changed(embedding=floats([[0.0] * DIM] * 60)),
        settings("items.normalize=l2", sets=()),
    ),
    "no rows": Case(3, "has no rows", lambda: GOOD.table().slice(0, 0)),
    "fewer rows than codes": Case(3, "to fit 256 codes", more=("--codes", "256")),
    "one item many times": Case(
        3,
        "1 valid rows leaves 1 to fit 6 codes a level (59 duplicate_id): ",
        lambda: changed(item_id=pa.array(["same"] * 60)),
    ),
    "negative exposure": Case(
        3, "has negative", lambda: changed(shown=pa.array([-1.0] * 60)), settings("items.exposure=shown", sets=())
    ),
    "no file": Case(3, "there is nothing of that name", source="{folder}/nowhere"),
    "no file behind a glob": Case(3, "there is nothing of that name", source="{folder}/*.parquet"),
    "no table": Case(3, "there is nothing of that name", source="no_such.items"),
    "not Parquet": Case(3, "no readable Parquet", source="{folder}/text.csv"),
    "empty folder": Case(3, "no readable Parquet", source="{folder}/empty"),
    "a catalog that is not there": Case(
        3, "this Spark session has none; name a table as schema.table, or give a path", source="main.shop.items"
    ),
    "no table name": Case(3, "is not a table name", source="a..b"),
    "events without a user": Case(
        3, "events table has no column 'user_id'", events=lambda: events().drop_columns(["user_id"])
    ),
    "events under other names": Case(
        3,
        "no column 'user_id' (events.user) and no column 'item_id' (events.item): It has who, what, timestamp; name "
        "yours with --set events.user=COLUMN --set events.item=COLUMN",
        events=lambda: events().rename_columns(["who", "what", "timestamp"]),
    ),
    "events about numbers": Case(3, "both must be strings", events=lambda: events(item_id=pa.array([1, 2]))),
    "no events": Case(3, "events table has no rows", events=lambda: events().slice(0, 0)),
    "missing events": Case(3, "events table", more=("--events", "{folder}/nowhere")),
    "unknown key": Case(2, "did you mean 'size'", more=("--set", "sample.sise=3")),
    "unknown section": Case(2, "did you mean 'sample'", more=("--set", "smaple.size=3")),
    "value of another type": Case(2, "sample.size", more=("--set", "sample.size=many")),
    "value out of range": Case(2, "train.max_memory_gb", more=("--set", "train.max_memory_gb=0")),
    "more SIDs than keys": Case(2, "2^63", more=("--levels", "8", "--codes", "256")),
    "unknown tokenizer": Case(2, "rq_kmeans", more=("--tokenizer", "kmeans")),
    "unknown metric in the gate": Case(2, "gate.rules", more=("--set", "gate.rules=[{metric: fun, minimum: 1}]")),
    "no config file": Case(2, "cannot be read", more=("--config", "{folder}/nowhere.yaml")),
    "config file with Python in it": Case(2, "is not YAML", more=("--config", "{folder}/python.yaml")),
    "too much memory": Case(2, "train.max_memory_gb is 0.001", more=("--set", "train.max_memory_gb=0.001")),
    "weights without a column": Case(2, "items.exposure", more=("--set", "sample.exposure_power=1")),
}


@pytest.fixture
def folder(tmp_path):
    """Where a case finds its files."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("item_id,embedding\n1,2\n" * 10)
    mark = tmp_path / "ran"
    (tmp_path / "python.yaml").write_text(f"seed: !!python/object/apply:os.mkdir ['{mark}']\n")
    return tmp_path


def arguments(case: Case, folder: Path, out: Path) -> list[str]:
    """The command line of a case."""
    items = write(case.items(), folder / "items")
    line = ["run", "--out", str(out), "--items", case.source, "--codes", "6", *settings(), *case.more]
    if case.events is not None:
        pq.write_table(case.events(), folder / "events.parquet")
        line += ["--events", "{folder}/events.parquet"]
    return [part.replace("{items}", items).replace("{folder}", str(folder)) for part in line]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_line_the_right_code_and_no_trace(case, folder):
    out = folder / "new" / "out"
    code, _, said = command(arguments(case, folder, out))
    assert (code, said.count("\n")) == (case.code, 1), said
    assert case.says in said
    assert not out.parent.exists() or not any(out.parent.iterdir())
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["all embeddings NaN", "negative exposure", "unknown key", "no table"])
def test_what_lay_in_the_folder_stays_as_it_was(name, folder):
    out = folder / "out"
    (out / "tables" / "mine").mkdir(parents=True)
    (out / "tables" / "mine" / "file").write_text("untouched")
    before = listing(out)
    assert command(arguments(CASES[name], folder, out))[0] == CASES[name].code
    assert listing(out) == before


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_place_that_cannot_be_written_is_refused(folder, below):
    (folder / "file").write_text("not a folder")
    before = listing(folder)
    line = arguments(Case(2, ""), folder, folder / below)
    code, _, said = command(line)
    assert (code, said.count("\n")) == (2, 1), said
    assert "cannot be written" in said
    assert (folder / "file").read_text() == "not a folder"
    assert {name for name in listing(folder) if not name.startswith("items")} == set(before)


@pytest.mark.parametrize("name", ["a*", "a?", "a[1]", "{a}"])
def test_a_place_that_spark_takes_for_a_pattern_is_refused(folder, name):
    code, _, said = command(arguments(Case(2, ""), folder, folder / name))
    assert (code, said.count("\n")) == (2, 1), said
    assert "takes" in said
    assert not (folder / name).exists()


def test_an_unknown_option_is_named(folder):
    code, _, said = command(arguments(Case(2, "", more=("--nonsense",)), folder, folder / "out"))
    assert code == 2
    assert "--nonsense" in said
    assert not (folder / "out").exists()


def test_a_damaged_file_is_a_matter_of_the_input(folder):
    line = arguments(Case(3, ""), folder, folder / "out")
    file = folder / "items" / "part-000.parquet"
    content = bytearray(file.read_bytes())
    content[4:400] = b"\xff" * 396
    file.write_bytes(content)
    code, _, said = command(line)
    assert (code, said.count("\n")) == (3, 1), said
    assert not (folder / "out").exists()


def test_no_place_is_refused(folder):
    items = write(GOOD, folder / "items")
    code, _, said = command(["run", "--items", items])
    assert (code, said.count("\n")) == (2, 1)
    assert "--out" in said


def test_no_items_are_refused(folder):
    code, _, said = command(["run", "--out", str(folder / "out")])
    assert (code, said.count("\n")) == (2, 1)
    assert "--items" in said


def test_a_dry_run_prints_the_plan_and_writes_nothing(folder):
    line = arguments(Case(0, ""), folder, folder / "out")
    before = listing(folder)
    code, said, _ = command([*line, "--dry-run"])
    assert code == 0
    assert "nothing was written" in said
    for part in ("60 of type string", "4 numbers", "sample, train, assign, measure, publish", "driver memory"):
        assert part in said
    assert "codes: 6" in said
    assert listing(folder) == before


@pytest.mark.parametrize("name", ["run", "nightly"])
def test_a_dry_run_tells_of_gpus_that_are_not_there(name, folder):
    line = [name, "--items", write(GOOD, folder / "items", 1), "--out", str(folder / "out"), "--dry-run"]
    code, _, said = command([*line, *settings("assign.device=gpu", sets=())])
    assert code == 2
    assert "where it gives tasks no GPU" in said


def test_a_step_alone_needs_a_run(folder):
    code, _, said = command(["train", "--out", str(folder / "out")])
    assert (code, said.count("\n")) == (2, 1), said
    assert "holds no runs" in said
    assert not (folder / "out").exists()


def test_a_dimension_that_few_rows_have_is_a_matter_of_quarantine(folder):
    rows = GOOD.plus([f"long-{n}" for n in range(5)], clustered(5, DIM + 1).tolist())
    line = arguments(Case(0, "", items=rows.table), folder, folder / "out")
    code, said, _ = command([*line, "--dry-run"])
    assert code == 0
    assert "65" in said
