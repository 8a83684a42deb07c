"""`drq measure --sids` from end to end: figures, tables, the page, the same again, and one line for what is wrong."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from external.local import figures, index_json, parquet, plain, random_codes, tokens, written
from external.test_codebook_fidelity import by_loops
from pipeline.catalogues import clustered, listing
from pipeline.direct import ready_tokenizer
from pipeline.nights import command
from pipeline.reference import rows_of
from pyspark.sql import functions as F

from drq_spark.config import load_config
from drq_spark.external.measure_sids import _begin
from drq_spark.lease import Lease
from drq_spark.progress import SILENT
from drq_spark.schemas import SIDS
from drq_spark.store import Store, open_store

pytestmark = [pytest.mark.usefixtures("spark"), pytest.mark.timeout(1800)]

ETAS = (0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Done:
    """A finished run."""

    out: Path
    arguments: list[str]
    code: int
    said: str
    error: str
    state: dict
    metrics: dict

    def rows(self, table):
        return rows_of(self.out, table, self.state["run_id"])


def run(out: Path, *arguments: str) -> Done:
    line = ["measure", "--out", str(out), "--run-date", "2026-01-01", *arguments]
    code, said, error = command(line)
    assert code == 0, error
    (state,) = DeltaTable(str(out / "tables" / "runs")).to_pyarrow_table().to_pylist()
    rows = rows_of(out, "metrics", state["run_id"])
    names = ("metric", "level", "weighting", "eta", "ruler")
    metrics = {tuple(row[name] for name in names): row["value"] for row in rows}
    assert len(metrics) == len(rows)
    return Done(out, line, code, said, error, state, metrics)


def compared(done, expected):
    """The figures of the run that are expected, to compare."""
    return {key: done.metrics.get((*key, None, None)) for key in expected}


def named(done):
    return {key[0] for key in done.metrics}


OF_EMBEDDINGS = {
    "exact_duplicate_rate", "excess_duplicate_rate", "harmful_shared_rate", "bucket_spread", "relative_mse",
    "mean_cosine", "residual_share", "neighbour_recall_20", "raw_hit_rate_20", "hit_rate_20", "retention_20",
    "auc_raw_uniform",
}  # fmt: skip
OF_CODEBOOKS = {"expected_overlap", "effective_capacity", "geometry", "sigma", "auc_sum_uniform"}
OF_ASSIGNMENT = {"mean_margin", "uncertain_share", "flip_rate", "sid_survival", "churn", "churn_matched"}


# ---- a map and nothing else ----

CODES = random_codes(items=90)
EXTRA = {item: [*tokens(row), "<d_1>"] if n % 10 == 0 else tokens(row) for n, (item, row) in enumerate(CODES.items())}


@pytest.fixture(scope="module")
def alone(spark, tmp_path_factory):
    """An index-json as published: colliding items have a code more."""
    folder = tmp_path_factory.mktemp("alone")
    return run(folder / "out", "--sids", index_json(folder / "shop.index.json", EXTRA), "--codes", "9")


def test_figures_are_those_of_a_small_local_program(alone):
    expected = figures(CODES, (9, 9, 9)) | {("quarantine_rate", 0, "items"): 0.0}
    assert compared(alone, expected) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert not named(alone) & (OF_EMBEDDINGS | OF_CODEBOOKS | OF_ASSIGNMENT)
    assert {key[2:] for key in alone.metrics} == {("items", None, None)}


def test_the_tables_hold_what_is_known_and_no_more(alone):
    rows = alone.rows("sids")
    assert {row["item_id"]: tuple(row["codes"]) for row in rows} == CODES
    assert {(row["margin"], row["residual_norm"], row["embedding_hash"], row["exposure"]) for row in rows} == {
        (None, None, None, None)
    }
    buckets = {}
    for row in rows:
        buckets.setdefault(row["sid"], []).append((row["suffix"], row["item_id"]))
    for bucket in buckets.values():
        assert [item for _, item in sorted(bucket)] == sorted(item for _, item in bucket)
        assert sorted(suffix for suffix, _ in bucket) == list(range(len(bucket)))
    assert {row["distinct_embeddings"] for row in alone.rows("sid_usage")} == {None}
    state = alone.state
    assert (state["status"], state["rows_in"], state["rows_out"], state["dim"]) == ("measured", 90, 90, 0)
    assert state["tokenizer_id"].startswith("sids-")
    assert state["notes"] == ["9 items have one code more than 3: it tells items apart, the SID leaves it out."]
    assert not (alone.out / "tables" / "published").exists()
    assert not (alone.out / "staging").exists()


def test_sids_of_our_own_must_be_complete(spark, tmp_path):
    """NULL margins and hashes are for SIDs from elsewhere alone."""
    types = {column.name: column.type.format(id="string") for column in SIDS.columns}
    known = {"item_id": "a", "codes": [0], "sid": 0, "suffix": 0, "run_id": "r", "tokenizer_id": "sids-1"}
    known["run_date"] = "2026-01-01"
    row = spark.range(1).select(*[F.lit(known.get(name)).cast(kind).alias(name) for name, kind in types.items()])
    store = Store(spark, str(tmp_path))
    store.write(SIDS, row, "r")
    with pytest.raises(Exception, match="complete_unless_from_elsewhere"):
        store.write(SIDS, row.withColumn("tokenizer_id", F.lit("abc")), "r")


def test_the_page_says_what_it_is_about(alone):
    text = (alone.out / "report.html").read_text()
    for part in ("<h1>Measured</h1>", "not judged", "9 items have one code more", "shop.index.json", "sids.codes"):
        assert part in text
    for part in ("Fidelity</h2>", "Under perturbation</h2>", "Gate</h2>", "exact duplicates</td>", "train.", "None"):
        assert part not in text
    assert "measured; SIDs from elsewhere are not judged" in plain(alone.said)


def test_the_page_can_be_drawn_again(alone):
    before = (alone.out / "report.html").read_text()
    assert command(["report", "--out", str(alone.out)])[0] == 0
    after = (alone.out / "report.html").read_text()
    assert after.replace("report", "").count("<section") == before.count("<section")


def test_the_same_again_changes_nothing(alone):
    before = listing(alone.out)
    code, said, _ = command(alone.arguments)
    assert (code, listing(alone.out)) == (0, before)
    assert f"Nothing has changed since run {alone.state['run_id']}" in plain(said)


@pytest.mark.parametrize("step", ["train", "assign", "measure", "publish"])
def test_there_are_no_steps_to_do_and_nothing_to_publish(alone, step):
    before = listing(alone.out)
    code, _, said = command([step, "--out", str(alone.out)])
    assert (code, said.count("\n"), listing(alone.out)) == (2, 1, before)
    assert "measured SIDs from elsewhere" in said


def test_the_run_id_is_of_what_goes_in(spark, tmp_path, alone):
    """Not of the form, the order, the place; but of every code and setting."""
    from datetime import date, datetime

    def begun(form, codes, *more):
        path = written(form, codes, tmp_path / f"{form}{len(list(tmp_path.iterdir()))}")
        config = load_config(options={"sids.path": path, "store.out": str(tmp_path / "out")}, settings=more)
        store = open_store(spark, config)
        state = _begin(store, Lease(store), config, date(2026, 1, 1), datetime(2026, 1, 1), SILENT)[0].state
        return state.run_id, state.tokenizer_id

    first = begun("index-json of tokens", CODES)
    assert begun("CSV of columns", dict(reversed(CODES.items()))) == first
    changed = begun("index-json of tokens", {**CODES, "item-002": (0, 0, 1)})
    assert changed[0] != first[0]
    assert changed[1] != first[1]
    assert begun("index-json of tokens", CODES, "sids.codes=64")[0] != first[0]
    assert first[0].startswith("2026-01-01-")


# ---- with items, events and codebooks ----

N, DIM = 240, 6
SHIFT = np.array([0.3, 0.0, -0.4, 0.0, 0.0, 0.0], np.float32)  # of the second version: all move by half a unit


@pytest.fixture(scope="module")
def beside(spark, tmp_path_factory):
    """Integer ids; some items are bad, unknown, repeated or without a SID; codes come from the codebooks."""
    folder = tmp_path_factory.mktemp("beside")
    x = clustered(N, DIM)
    x[10:14] = x[10]
    tokenizer = ready_tokenizer(x, 8, 3)
    codes = dict(enumerate(tokenizer.encode(x).codes.tolist()))
    vectors = [row.tolist() for row in x]
    vectors[20], vectors[21], vectors[22] = None, [1.0], [float("nan")] * DIM
    ids = [*range(N), 900, 901]
    titles = [f"<b>thing</b> {item}" for item in ids]
    column = pa.array([*vectors, *vectors[:2]], pa.list_(pa.float32()))
    items = parquet(folder / "items.parquet", sku=ids, vector=column, title=titles)
    sids = index_json(folder / "map.json", {**codes, 777: [1, 1, 1], "abc": [0, 0, 0]})
    seen = np.random.default_rng(2).integers(0, 200, 1000)
    events = parquet(folder / "events.parquet", user_id=seen % 17, item_id=seen, timestamp=np.arange(1000))
    np.savez(folder / "books.npz", **{f"codebook_{level}": book for level, book in enumerate(tokenizer.codebooks)})
    settings = ("items.id=sku", "items.embedding=vector", "items.name=title")
    after = parquet(folder / "after.parquet", sku=list(range(N)), vector=(x + SHIFT).tolist())
    sources = ("--sids", sids, "--items", items, "--events", events, "--codebooks", str(folder / "books.npz"))
    set_to = (part for text in settings for part in ("--set", text))
    done = run(folder / "out", *sources, "--embeddings-after", after, *set_to)
    kept = [item for item in range(N) if item not in (20, 21, 22)]
    exposure = {item: float(np.sum(seen == item)) for item in kept}
    return done, tokenizer, x, {item: tuple(codes[item]) for item in kept}, exposure


def test_items_decide_which_sids_count(beside):
    done, _, _, codes, exposure = beside
    rows = done.rows("sids")
    assert {row["item_id"]: (tuple(row["codes"]), row["exposure"]) for row in rows} == {
        item: (codes[item], exposure[item]) for item in codes
    }
    assert all(row["embedding_hash"] is not None for row in rows)
    reasons = sorted((str(row["item_id"]), row["reason"]) for row in done.rows("sid_quarantine"))
    assert reasons == [
        ("20", "null"), ("21", "wrong_dimension"), ("22", "not_finite"),
        ("777", "unknown_item"), ("None", "unknown_item"),
    ]  # fmt: skip
    assert (done.state["rows_in"], done.state["rows_out"], done.state["rows_quarantined"]) == (N + 2, N - 3, 5)
    assert (done.state["dim"], done.state["id_type"]) == (DIM, "bigint")


def test_figures_of_embeddings_and_codebooks(beside):
    done, tokenizer, x, codes, exposure = beside
    kept = x[list(codes)]
    distinct = len(np.unique(kept, axis=0))
    unique = len(set(codes.values()))
    expected = figures(codes, (8, 8, 8), exposure) | {
        ("quarantine_rate", 0, "items"): 5 / (N + 2),
        ("exact_duplicate_rate", 0, "items"): 1 - distinct / len(codes),
        ("excess_duplicate_rate", 0, "items"): (distinct - unique) / len(codes),
    }
    rebuilt = by_loops(kept, list(codes.values()), tokenizer.codebooks)
    expected |= {(*name, "items"): value for name, value in rebuilt.items()}
    assert compared(done, expected) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert named(done) >= OF_EMBEDDINGS | OF_CODEBOOKS
    assert not named(done) & OF_ASSIGNMENT
    unit = spread(kept)
    for level, book in enumerate(tokenizer.codebooks, 1):
        for eta in ETAS:
            overlap = overlap_by_loops([row[level - 1] for row in codes.values()], book, eta * unit)
            at = (level, "items", eta, "latent")
            assert done.metrics[("expected_overlap", *at)] == pytest.approx(overlap, rel=1e-6)
            assert done.metrics[("effective_capacity", *at)] == pytest.approx(1 / overlap, rel=1e-6)
        at = (level, "items", None, "after")
        assert done.metrics[("sigma", *at)] == pytest.approx(0.5, rel=1e-5)
        overlap = overlap_by_loops([row[level - 1] for row in codes.values()], book, 0.5)
        assert done.metrics[("expected_overlap", *at)] == pytest.approx(overlap, rel=1e-5)


def spread(x):
    covariance = np.cov(x.astype(np.float64), rowvar=False, bias=True)
    return math.sqrt(np.trace(covariance @ covariance) / np.trace(covariance))


def overlap_by_loops(used, book, sigma):
    shares = [used.count(code) / len(used) for code in range(len(book))]
    total = 0.0
    for p, a in zip(shares, book.tolist(), strict=True):
        for q, b in zip(shares, book.tolist(), strict=True):
            total += p * q * math.erfc(math.dist(a, b) / (2 * math.sqrt(2) * sigma))
    return total


def test_what_was_assumed_is_said(beside):
    done = beside[0]
    notes = " ".join(done.state["notes"])
    assert "1 unknown_item" in notes
    assert "2 items of the items table have no SID and are left out" in notes
    assert "the spread per effective coordinate of the embeddings of 237 items" in notes
    assert "give the SIDs of 100\xa0% of 237 items" in notes
    text = (done.out / "report.html").read_text()
    assert "nearest codewords" in text
    assert "&lt;b&gt;thing&lt;/b&gt;" in text
    assert "<b>thing" not in text
    assert "Fidelity</h2>" in text


def test_codebooks_of_another_space_serve_for_capacity_alone(spark, tmp_path, beside):
    _, tokenizer, _, codes, _ = beside
    wide = [np.hstack([book, np.zeros_like(book)]) for book in tokenizer.codebooks]
    np.save(tmp_path / "books.npy", np.stack(wide))
    ids = [str(n) for n in range(N)]
    items = parquet(tmp_path / "items.parquet", item_id=ids, embedding=clustered(N, DIM).tolist())
    seen = [str(n) for n in np.random.default_rng(2).integers(0, 200, 1000)]
    events = parquet(tmp_path / "e.parquet", user_id=[int(n) % 17 for n in seen], item_id=seen, timestamp=range(1000))
    sources = ("--sids", index_json(tmp_path / "m.json", codes), "--items", items, "--events", events)
    done = run(tmp_path / "out", *sources, "--codebooks", str(tmp_path / "books.npy"))
    assert not named(done) & (OF_ASSIGNMENT | {"relative_mse", "mean_cosine", "residual_share", "neighbour_recall_20"})
    assert named(done) >= {"bucket_spread", "exact_duplicate_rate", "auc_raw_uniform", "auc_prefix_uniform"}
    latents = sum(book[[row[level] for row in codes.values()]].astype(np.float64) for level, book in enumerate(wide))
    overlap = overlap_by_loops([row[1] for row in codes.values()], wide[1], 0.5 * spread(latents))
    assert done.metrics["expected_overlap", 2, "items", 0.5, "latent"] == pytest.approx(overlap, rel=1e-5)
    assert "the sums of the codewords of 237 items: the latents are not known" in " ".join(done.state["notes"])


# ---- refusals ----


def good_items(folder):
    return parquet(folder / "items.parquet", item_id=list(CODES), embedding=clustered(len(CODES), 4).tolist())


@pytest.mark.parametrize(
    ("content", "more", "code", "says"),
    [
        (None, (), 3, "there is nothing of that name"),
        ("{not json", (), 3, "not of the form"),
        ("", (), 3, "is empty"),
        (json.dumps({"a": [1], "b": [1], "c": [1] * 3, "d": [1] * 4, "e": []}), (), 3, "be used as SIDs of 1 codes"),
        (json.dumps({"a": [1, -2]}), (), 3, "code -2 at level 2"),
        (json.dumps({"a": ["red", "blue"]}), (), 3, "something else than codes, such as 'red blue' of item 'a'"),
        (json.dumps({"a": [2**20 - 1] * 4}), (), 3, "2^63"),
        (json.dumps({"x": [1, 2], "y": [0, 0]}), ("--items", "{items}"), 3, "do sids.id and items.id hold the same"),
        (json.dumps(CODES), ("--items", "{folder}/nowhere"), 3, "items table"),
        (json.dumps(CODES), ("--codebooks", "{folder}/nowhere"), 3, "codebooks"),
        (json.dumps(CODES), ("--items", "{items}", "--embeddings-after", "{items}"), 2, "give --items and --codebooks"),
        (json.dumps(CODES), ("--embeddings-after", "{items}"), 2, "give --items and --codebooks"),
        (json.dumps(CODES), ("--codes", "4"), 2, "sids.codes gives it 4"),
        (json.dumps(CODES), ("--codes", "1"), 2, "sids.codes"),
        (json.dumps(CODES), ("--set", "sids.bas=1"), 2, "did you mean 'base'"),
        (json.dumps(CODES), ("--run", "2026-01-01-abcdef01"), 2, "--run is not for --sids"),
    ],
)
def test_one_line_the_right_code_and_no_trace(tmp_path, content, more, code, says):
    path, out = tmp_path / "map.json", tmp_path / "new" / "out"
    if content is not None:
        path.write_text(content)
    items = good_items(tmp_path)
    arguments = [part.replace("{items}", items).replace("{folder}", str(tmp_path)) for part in more]
    found, _, said = command(["measure", "--out", str(out), "--sids", str(path), *arguments])
    assert (found, said.count("\n")) == (code, 1), said
    assert says in said
    assert not out.parent.exists() or not any(out.parent.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["measure", "--items", "x"], "--items are for --sids"),
        (["measure", "--set", "seed=1", "--codes", "4"], "--codes, --set are for --sids"),
        (["run", "--set", "sids.path=x"], "drq measure judges them"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, arguments, says):
    code, _, said = command([*arguments, "--out", str(tmp_path / "out")])
    assert (code, said.count("\n")) == (2, 1), said
    assert says in said
    assert not (tmp_path / "out").exists()


def test_events_alone_make_exposure_and_give_ids_their_type(tmp_path):
    """Ids of an index-json are text; those of the events are numbers."""
    seen = [3, 3, 3, 5, 5, 7, 999]
    events = parquet(tmp_path / "e.parquet", user_id=[1] * 7, item_id=seen, timestamp=list(range(7)))
    codes = {n: (n % 3, n % 2) for n in range(10)}
    done = run(tmp_path / "out", "--sids", index_json(tmp_path / "m.json", codes), "--events", events)
    exposure = {n: float(seen.count(n)) for n in codes}
    expected = figures(codes, (3, 2), exposure) | {("quarantine_rate", 0, "items"): 0.0}
    assert compared(done, expected) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    counted = {name: value for (name, *_), value in done.metrics.items() if "event" in name or "judging" in name}
    assert counted == {
        "events": 7, "events_without_user": 0, "events_without_position": 0, "events_of_unknown_items": 1,
        "events_tied": 0, "events_repeated": 3, "event_pairs": 2, "event_users": 1, "judging_users": 1,
    }  # fmt: skip
    assert done.metrics[("behaviour_pairs", 0, "items", None, None)] == 2  # the one user judges what nobody trained
    assert "User '1' has 6 of 6 (100%) events" in " ".join(done.state["notes"])
