"""What a file is, by its content: each form by its own name, whatever the file is called."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from drq_spark.errors import InputRefused
from drq_spark.external.file_heads import JSON, NUMPY, PARQUET, TEXT, ZIP, form_of

CODES = np.arange(12).reshape(4, 3)


def torch_file(*, archive: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(torch.tensor(CODES), stream, _use_new_zipfile_serialization=archive)
    return stream.getvalue()


def numpy_file() -> bytes:
    stream = io.BytesIO()
    np.save(stream, CODES)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b"PAR1\x15\x04", PARQUET), (numpy_file(), NUMPY), (torch_file(archive=True), ZIP),
        (b'{"a": [1, 2]}', JSON), ("\ufeff\n [1]".encode(), JSON), (b"item_id,codes\n", TEXT),
        ("größe;1".encode(), TEXT),
        (b"codes\n1,2\n", TEXT), (b"(a),1-2\n", TEXT), ("ä".encode()[:1], TEXT),
    ],
)  # fmt: skip
def test_forms_that_are_read(content, form):
    assert form_of(content[:200], "m") == form


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [CODES, {"a": [1, 2]}, [[1, 2], [3, 4]]], ids=["array", "dict", "list"])
def test_a_pickle_is_told_and_never_loaded(protocol, value):
    with pytest.raises(InputRefused, match=r"'m.csv' are a pickle, which runs code .*numpy.save\('codes.npy'") as told:
        form_of(pickle.dumps(value, protocol)[:200], "m.csv")
    assert "\n" not in str(told.value)


def test_a_torch_file_of_old_is_told():
    with pytest.raises(
        InputRefused, match=r"are a torch file.*torch.load\('m', map_location='cpu', weights_only=True\)"
    ):
        form_of(torch_file(archive=False)[:200], "m")


def test_safetensors_are_told():
    with pytest.raises(InputRefused, match=r"are a safetensors file.*load_file\('m'\)"):
        form_of(save({"codes": CODES})[:200], "m")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"ARROW1\0\0", "an Arrow file"), (b"\x89HDF\r\n", "an HDF5 file"), (b"\x1f\x8b\x08", "gzip without .gz"),
        ("a,b".encode("utf-16"), "text in UTF-16"), (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\x00\x01\x02", "a binary file of no known form"), ("ä,1".encode("latin-1"), "no known form"),
    ],
)  # fmt: skip
def test_others_are_refused_by_name_in_printable_words(content, name):
    with pytest.raises(InputRefused) as told:
        form_of(content, "m")
    assert name in str(told.value)
    assert "give one of Parquet" in str(told.value)
    assert str(told.value).isprintable()
