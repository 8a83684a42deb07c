"""Batches of items in, batches of SIDs out: every row in its place, and sums that equal direct ones."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizer.samples import behaving, full, pattern, plain, rows

from drq_spark.assign import assignment_worker as worker
from drq_spark.assign.assignment_worker import Totals, assign_batch, assign_rows, assigned_schema, assigner
from drq_spark.row_types import spark_schema
from drq_spark.ship import Shipped
from drq_spark.tokenizer import Tokenizer, kernel_choice
from drq_spark.tokenizer.model import MAX_NUMBER

TOKENIZERS = [plain(), plain(normalize="l2"), full(), full(tables=None, decoder=None, dim=3, encoder=None)]
BAD = {"null": None, "wrong_dimension": [1.0], "not_finite": [math.nan] * 6, "zero_norm": [0.0] * 6}
pytestmark = pytest.mark.filterwarnings("error")


def batch_of(
    embeddings: list, ids: pa.Array | None = None, kind: pa.DataType | None = None, wanted: tuple[int, ...] = ()
) -> pa.RecordBatch:
    n = len(embeddings)
    columns = [
        pa.array([f"item {i}" for i in range(n)]) if ids is None else ids,
        pa.array(embeddings, kind or pa.list_(pa.float32())),
        pa.array([None if i % 3 == 1 else i / 2 for i in range(n)], pa.float64()),
        pa.array([(-1) ** i * i * 2**40 for i in range(n)], pa.int64()),
        pa.array([i in wanted for i in range(n)], pa.bool_()),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["item_id", "embedding", "exposure", "embedding_hash", "wanted"])


@pytest.mark.parametrize(("name", "id_type"), [("string", pa.string()), ("bigint", pa.int64()), ("int", pa.int32())])
def test_batches_have_the_types_that_spark_is_told(name, id_type):
    """mapInArrow casts nothing: what it is told must be what comes."""
    declared = (
        f"item_id:{name},reason:string,codes:array<int>,sid:bigint,margin:array<float>,residual_norm:float,"
        "exposure:double,embedding_hash:bigint,kept:boolean,embedding:array<float>,totals:array<double>"
    )
    assert spark_schema(assigned_schema(id_type)).simpleString() == f"struct<{declared}>"
    ids = pa.array([1, 2] if name != "string" else ["a", "b"], id_type)
    out = list(assigner(Shipped(plain()))(iter([batch_of(rows(2).tolist(), ids)])))
    assert {batch.schema for batch in out} == {assigned_schema(id_type)}


def direct_totals(tokenizer: Tokenizer, x: np.ndarray) -> dict[str, Any]:
    """The same sums over all rows at once, by their definitions."""
    prepared = tokenizer.prepare_input(x)
    z = tokenizer.latent(prepared).astype(np.float64)
    found = tokenizer.encode_latent(z.astype(np.float32))
    wide, decoded = prepared.astype(np.float64), tokenizer.decode(found.codes)
    anchor, latent_anchor = tokenizer.anchor()
    norms = np.linalg.norm(wide, axis=1) * np.linalg.norm(decoded, axis=1)
    return {
        "items": len(x),
        "squared_error": math.fsum(((wide - decoded) ** 2).ravel()),
        "cosine": math.fsum((wide * decoded).sum(axis=1) / np.where(norms > 0, norms, 1)),
        "square": math.fsum(((wide - anchor) ** 2).ravel()),
        "offset": [math.fsum(values) for values in (wide - anchor).T],
        "latent_square": math.fsum(((z - latent_anchor) ** 2).ravel()),
        "latent_offset": [math.fsum(values) for values in (z - latent_anchor).T],
        "residual_square": [math.fsum(values) for values in found.residual_square.T],
        "margin": [math.fsum(values) for values in found.margin.astype(np.float64).T],
    }


def assert_totals(found: Totals, expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        size = np.abs(np.asarray(value)).max()
        assert getattr(found, name) == pytest.approx(value, rel=1e-12, abs=1e-12 * size), name


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("block", [1, 2**20])
def test_every_row_gets_the_tokenizers_sid(tokenizer, block, monkeypatch):
    monkeypatch.setattr(worker, "_BLOCK_ELEMENTS", block)  # 1: blocks of 64 rows
    x = rows(150, tokenizer.dim)
    batch = batch_of(x.tolist())
    out, totals = assign_batch(batch, tokenizer)
    expected = tokenizer.encode(x)
    assert out.num_rows == 150
    for name in ("item_id", "exposure", "embedding_hash"):
        assert out.column(name) == batch.column(name)
    assert out.column("reason").null_count == 150
    assert out.column("codes").to_pylist() == expected.codes.tolist()
    assert out.column("sid").to_pylist() == tokenizer.keys(expected.codes).tolist()
    assert out.column("margin").to_pylist() == expected.margin.tolist()
    left = np.sqrt(expected.residual_square[:, -1]).astype(np.float32)
    assert out.column("residual_norm").to_pylist() == left.tolist()
    assert out.column("totals").null_count == 150
    assert_totals(totals, direct_totals(tokenizer, x))
    assert totals.uncertain.tolist() == expected.uncertain.tolist()


def test_the_anchor_changes_no_variance(monkeypatch):
    """Sums about any point give the same spread about the mean."""
    from drq_spark.formulas.reconstruction import centred_square_sum

    tokenizer, x = plain(), rows(80) + np.float32(100)
    spread = float(np.square(x - x.mean(axis=0, dtype=np.float64)).sum())
    for shift in (0.0, 90.0, -5.0):
        monkeypatch.setattr(Tokenizer, "anchor", lambda self, shift=shift: (np.full(6, shift), np.full(6, shift)))
        totals = assign_rows(x, tokenizer).totals
        assert centred_square_sum(totals.square, totals.offset, 80) == pytest.approx(spread, rel=1e-9)
        assert centred_square_sum(totals.latent_square, totals.latent_offset, 80) == pytest.approx(spread, rel=1e-9)
        assert assign_rows(x, tokenizer).codes.tolist() == tokenizer.encode(x).codes.tolist()


@pytest.mark.parametrize("places", [[0], [7], [3], [0, 1, 2], [5, 6, 7], [0, 3, 7], list(range(7)), list(range(1, 8))])
@pytest.mark.parametrize("reason", list(BAD))
def test_bad_rows_in_any_position(places, reason):
    tokenizer, x = full(), rows(8)
    mixed = [BAD[reason] if i in places else row for i, row in enumerate(x.tolist())]
    assigned, totals = assign_batch(batch_of(mixed), tokenizer)
    out = assigned.to_pylist()
    good = [i for i in range(8) if i not in places]
    alone = assign_batch(batch_of(x[good].tolist()), tokenizer)[0].to_pylist()
    assert [row["item_id"] for row in out] == [f"item {i}" for i in range(8)]
    for place in places:
        assert out[place]["reason"] == reason
        assert all(out[place][name] is None for name in ("codes", "sid", "margin", "residual_norm"))
    for name in ("codes", "sid", "margin", "residual_norm"):
        assert [out[i][name] for i in good] == [row[name] for row in alone]
    assert_totals(totals, direct_totals(tokenizer, x[good]))
    assert totals.items == len(good)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_batch_of_bad_rows_has_no_sids_and_totals_of_nothing(tokenizer):
    out, totals = assign_batch(batch_of([None, [1.0], [math.inf] * tokenizer.dim]), tokenizer)
    assert out.schema == assigned_schema(pa.string())
    assert out.column("reason").to_pylist() == ["null", "wrong_dimension", "not_finite"]
    assert all(out.column(name).null_count == 3 for name in ("codes", "sid", "margin", "residual_norm"))
    assert not totals.vector().any()


def test_binary_embeddings_get_the_same_sids():
    x = rows(20)
    packed = batch_of([row.astype("<f4").tobytes() for row in x], kind=pa.binary())
    assert assign_batch(packed, plain())[0].equals(assign_batch(batch_of(x.tolist()), plain())[0])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float64())])
def test_embeddings_of_wanted_rows_go_out_as_they_came(kind):
    x = rows(8).tolist()
    mixed = [None, x[1], [math.nan] * 6, x[3], x[4], x[5], [1.0], x[7]]
    out, _ = assign_batch(batch_of(mixed, kind=kind, wanted=(0, 1, 2, 4, 7)), plain(normalize="l2"))
    assert out.column("embedding").to_pylist() == [None, x[1], None, None, x[4], None, None, x[7]]
    assert out.column("kept").to_pylist() == [row is not None for row in out.column("embedding").to_pylist()]
    assert assign_batch(batch_of(mixed), plain())[0].column("embedding").null_count == 8


def test_slices_of_a_batch_are_batches():
    x = rows(30)
    whole, part = batch_of(x.tolist()), slice(11, 24)
    out, totals = assign_batch(whole[part], plain())
    assert out.to_pylist() == assign_batch(whole, plain())[0].to_pylist()[part]
    assert_totals(totals, direct_totals(plain(), x[part]))


def test_the_largest_embeddings_leave_finite_totals():
    for tokenizer, largest in ((plain(), MAX_NUMBER), (full(), 3e38)):  # full() divides rows by their norm
        huge = np.float32([[largest] * 6, [-largest, largest] * 3]).tolist()
        out, totals = assign_batch(batch_of(huge), tokenizer)
        assert all(row["codes"] is not None and math.isfinite(row["residual_norm"]) for row in out.to_pylist())
        assert np.isfinite(totals.vector()).all()


def test_reconstructions_of_norm_0_have_cosine_0():
    books = (np.array([[0, 0], [9, 9]], np.float32),)
    totals = assign_rows(np.array([[1, 0], [0, 1]], np.float32), plain(2, (2,), codebooks=books)).totals
    assert totals.cosine == 0
    assert totals.squared_error == 2


def test_columns_of_another_type_are_cast_or_refused():
    """Never another schema than declared: mapInArrow would read its bytes wrongly."""
    batch = batch_of(rows(2).tolist())
    narrow = batch.set_column(3, "embedding_hash", pa.array([1, 2], pa.int32()))
    assert assign_batch(narrow, plain())[0].schema == assigned_schema(pa.string())
    with pytest.raises(pa.ArrowInvalid):
        assign_batch(batch.set_column(3, "embedding_hash", pa.array([0.5, 2.0])), plain())


def test_a_task_gives_batches_back_one_for_one_and_leaves_its_totals_once():
    x = rows(12)
    batches = [batch_of(x[:5].tolist()), batch_of([]), batch_of(x[5:].tolist())]
    *out, last = list(assigner(Shipped(plain()))(iter(batches)))
    assert [batch.num_rows for batch in out] == [5, 7]
    codes = [row for batch in out for row in batch.column("codes").to_pylist()]
    assert codes == plain().encode(x).codes.tolist()
    assert all(batch.column("totals").null_count == batch.num_rows for batch in out)
    (row,) = last.to_pylist()
    totals = Totals.of_vector(np.array(row.pop("totals")), plain())
    assert set(row.values()) == {None}
    assert_totals(totals, direct_totals(plain(), x))


def test_a_task_without_rows_leaves_nothing():
    assert list(assigner(Shipped(plain()))(iter([batch_of([])]))) == []


def test_totals_come_back_from_their_numbers():
    for tokenizer in TOKENIZERS:
        totals = assign_rows(rows(40, tokenizer.dim), tokenizer).totals
        again = Totals.of_vector(totals.vector(), tokenizer)
        for name, value in asdict(totals).items():
            assert type(getattr(again, name)) is type(value)
            assert np.array_equal(getattr(again, name), value), name


def test_totals_add_up():
    tokenizer, x = full(), pattern(90, 6, start=123)
    parts = [assign_rows(x[start : start + 17], tokenizer).totals for start in range(0, 90, 17)]
    together = Totals.zero(tokenizer)
    for part in parts:
        together.add(part)
    assert_totals(together, direct_totals(tokenizer, x))


@pytest.mark.parametrize(
    "tokenizer",
    [plain(), plain(beam=3), plain(latent=131, sizes=(20, 9)), full(encoder=None, decoder=None, dim=3), behaving()],
    ids=["greedy", "beam", "odd", "tables", "behaviour"],
)
def test_totals_of_compiled_code_are_those_of_numpy_to_the_bit(tokenizer, monkeypatch):
    pytest.importorskip("numba")
    x = pattern(300, tokenizer.dim, start=77)
    slow = assign_rows(x, tokenizer)
    monkeypatch.setattr(kernel_choice, "WORK_OF_LOADING", 0)
    monkeypatch.setattr(kernel_choice, "WORK_OF_COMPILING", 0)
    fast = assign_rows(x, replace(tokenizer))
    assert (slow.totals.compiled, fast.totals.compiled) == (0, 300)
    same = replace(fast.totals, compiled=0, uncertain=slow.totals.uncertain)  # how many are uncertain is each one's own
    assert same.vector().tobytes() == slow.totals.vector().tobytes()
    assert fast.residual_norm.tobytes() == slow.residual_norm.tobytes()
