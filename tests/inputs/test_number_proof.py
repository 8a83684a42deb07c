"""Bytes of another type are found and named, and float32 of any real scale is never taken for one."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from inputs.cells import quantised, written

from drq_spark.inputs.number_proof import Finding, no_float32, other_than_float32

OTHERS = ("float16", "bfloat16", "float64", "int8", "uint8", ">f2", ">f4", ">f8", "npy")
SHAPES = ((40, 32), (400, 64), (80, 16), (300, 33), (20, 768))
pytestmark = pytest.mark.filterwarnings("error")


def clusters(rows: int, dim: int) -> np.ndarray:
    """float64 [rows, dim]: rows about 8 centres."""
    random = np.random.default_rng(0)
    return random.normal(size=(8, dim))[random.integers(8, size=rows)] + 0.3 * random.normal(size=(rows, dim))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


FORMS = {
    "plain": lambda x: x,
    "of norm 1": unit,
    "small": lambda x: x / 1000,
    "large": lambda x: x * 300,
    "off centre": lambda x: x + 3,
    "whole numbers": lambda x: (x * 10).round(),
    "columns of other scales": lambda x: x * 2.0 ** np.random.default_rng(1).normal(size=x.shape[1]),
    "a fifth not zero": lambda x: np.where(np.random.default_rng(2).random(x.shape) < 0.2, x, 0.0),
    "once float32": lambda x: x.astype(np.float32),
    "once float16": lambda x: x.astype(np.float16),
    "three decimals": lambda x: x.round(3),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", OTHERS)
def test_another_type_is_found_and_named(kind, form):
    for rows, dim in SHAPES:
        found = other_than_float32(written(quantised(FORMS[form](clusters(rows, dim)), kind), kind), None)
        assert found is not None, (rows, dim)
        if rows * dim >= 2000 or kind == "npy":  # of less the name may be that of a sibling
            assert found.kind == kind, (rows, dim)


@pytest.mark.parametrize("form", FORMS)
def test_float32_passes_in_every_form(form):
    for rows, dim in SHAPES:
        assert other_than_float32(written(FORMS[form](clusters(rows, dim)), "float32"), None) is None


BASES = {
    "normal": lambda random, shape: random.normal(size=shape),
    "clusters": lambda random, shape: clusters(*shape),
    "uniform": lambda random, shape: random.random(shape),
    "probabilities": lambda random, shape: softmax(random.normal(size=shape) * 20),
    "counts": lambda random, shape: np.floor(random.pareto(0.8, size=shape)),
    "whole": lambda random, shape: random.integers(-(2**15), 2**15, size=shape),
    "large whole": lambda random, shape: 1.7e9 + random.integers(0, 10**8, size=shape),
    "0 and 1": lambda random, shape: random.random(shape) < 0.3,
    "signs": lambda random, shape: np.sign(random.normal(size=shape)),
    "few values": lambda random, shape: random.choice([0.1, 0.2, -0.4, 1.5], size=shape),
    "bytes of an image": lambda random, shape: random.integers(0, 256, size=shape) / 255,
    "multiples of 1/127": lambda random, shape: random.integers(-127, 128, size=shape) / 127,
    "multiples of 1/128 to 8": lambda random, shape: (random.normal(size=shape) * 512).round() / 128,
    "heavy tails": lambda random, shape: random.standard_t(1, size=shape),
    "over many octaves": lambda random, shape: random.lognormal(sigma=8, size=shape),
    "all rows alike": lambda random, shape: random.normal(size=shape[1]) + 1e-5 * random.normal(size=shape),
}
ROUNDED = {
    "to float32": lambda x: x,
    "to float16": lambda x: x.astype(np.float16).astype(np.float32),
    "to bfloat16": lambda x: words(x, 0xFFFF).view(np.float32),
    "to 12 bits": lambda x: words(x, 0x7FF).view(np.float32),
    "to 255 steps": lambda x: (np.round(x / step(x)) * step(x)).astype(np.float32),
}


def words(x: np.ndarray, without: int) -> np.ndarray:
    """The words of float32, some of their bits cleared."""
    return x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFFFFF ^ without)


def softmax(x: np.ndarray) -> np.ndarray:
    found = np.exp(x - x.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def step(x: np.ndarray) -> np.float32:
    return np.float32(max(float(np.abs(x).max()) / 127, 1e-30))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**20),
    shape=st.tuples(st.sampled_from([3, 40, 256]), st.sampled_from([2, 3, 8, 16, 31, 64, 256])),
    base=st.sampled_from(sorted(BASES)),
    scale=st.sampled_from([1e-20, 1e-12, 1e-6, 1e-3, 1.0, 30.0, 1e4, 1e9]),
    offset=st.sampled_from([0.0, 0.0, 1.0, -40.0]),
    zeros=st.sampled_from([0.0, 0.0, 0.5, 0.95]),
    of_norm_1=st.booleans(),
    rounded=st.sampled_from(sorted(ROUNDED)),
)
@example(0, (256, 64), "multiples of 1/128 to 8", 1.0, 0.0, 0.0, False, "to float32")
@example(0, (256, 64), "probabilities", 1.0, 0.0, 0.0, False, "to float16")
@example(0, (256, 64), "normal", 1e-12, 0.0, 0.0, False, "to float16")  # zeros, some of them negative
@example(0, (40, 3), "signs", 1e-6, 1.0, 0.0, False, "to 12 bits")  # one number, whose halves are alike by chance
@example(0, (256, 64), "few values", 1e-12, 0.0, 0.0, False, "to 255 steps")
def test_sound_float32_is_never_refused(seed, shape, base, scale, offset, zeros, of_norm_1, rounded):
    random = np.random.default_rng(seed)
    x = np.asarray(BASES[base](random, shape), np.float64) + offset
    x = np.where(random.random(shape) < zeros, 0.0, x)
    x = unit(x) if of_norm_1 else x * scale
    with np.errstate(over="ignore", invalid="ignore"):
        rows = ROUNDED[rounded](x.astype(np.float32))
    assert other_than_float32([row.tobytes() for row in rows], None) is None


ODD = {
    "bytes that make sense in reverse, too": (words(clusters(50, 32), 0xFF) | np.uint32(0x40)).view(np.float32),
    "one number that makes sense in reverse": np.full((100, 2), 5e-13, np.float32),
    "four columns, every second one zero": np.where(np.arange(4) % 2, clusters(60, 4) + 9, 0).astype(np.float32),
    "one column of two with one number": np.where([True, False], 0.007, clusters(90, 2)).astype(np.float32),
    "bytes that are letters": np.full((40, 4), 1e9, np.float32),
    "bytes that begin as a pickle does": np.frombuffer(b"\x80\x02\x8f\x3f" * 40, np.float32).reshape(-1, 1),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_float32_passes(name):
    assert other_than_float32([row.tobytes() for row in ODD[name]], None) is None


PACKED = {
    "text": lambda row: json.dumps(row.tolist()).encode(),
    "text of another notation": lambda row: " ".join(map(str, row)).encode(),
    "base64": lambda row: b64encode(row.astype("<f4").tobytes()),
    "pickled objects": lambda row: pickle.dumps(row),
    "gzip": lambda row: gzip.compress(row.tobytes()),
    "zip archives": lambda row: zipped(row),
}


def zipped(row: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, row)
    return file.getvalue()


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_is_named(name):
    found = other_than_float32([PACKED[name](row) for row in clusters(20, 16)], 16)
    assert found is not None
    assert found.kind is None
    assert found.looks_like.split()[0] in (name.split()[0], "text")


def test_few_bytes_prove_nothing_but_by_their_number():
    for kind, other in (("float16", "float16"), ("float64", "float64"), ("int8", "int8")):
        rows = written(quantised(clusters(3, 8), kind), kind)
        assert other_than_float32(rows, None) is None
        found = other_than_float32(rows, 8)
        assert found == Finding(f"{other}, 8 numbers in {len(rows[0])} bytes", other)
    assert other_than_float32(written(clusters(3, 8), "float32"), 8) is None
    assert other_than_float32(written(clusters(3, 8), "float32"), 5) is None  # of no type are there 5 in 32 bytes


def test_bytes_that_are_no_words_of_four_are_no_float32():
    assert other_than_float32(written(clusters(5, 7), "bfloat16"), None).kind == "bfloat16"
    assert other_than_float32(written(quantised(clusters(5, 7), "int8"), "int8"), None).kind == "int8"


def test_the_most_frequent_length_counts():
    sound, odd = written(clusters(30, 8), "float32"), [b"\1\2\3"] * 10
    assert other_than_float32(odd + sound, None) is None
    assert other_than_float32(odd * 4 + sound, None) is not None


def test_rows_without_numbers_tell_nothing():
    zeros = [bytes(64), b""]
    assert other_than_float32(zeros * 200, 64) is None
    half = written(clusters(40, 32), "float16")
    assert other_than_float32(zeros * 200 + half, None).kind == "float16"


def test_numbers_of_no_known_type_are_refused_without_a_name():
    random = np.random.default_rng(0)
    whole = [row.astype("<i4").tobytes() for row in random.integers(1, 1000, size=(50, 32))]
    assert other_than_float32(whole, None) == Finding("numbers of another type, 128 bytes a row", None)


def test_the_message_names_the_type_and_both_ways_out():
    says = no_float32(Finding("float16, 8 numbers in 16 bytes", "float16"), "items.bytes={}".format)
    assert says == (
        "its bytes are no float32, they look like float16, 8 numbers in 16 bytes: give items.bytes=float16, "
        "or items.bytes=float32 where they are float32 all the same"
    )
    assert "text: store the numbers as array<float>" in no_float32(Finding("text", None), str)
