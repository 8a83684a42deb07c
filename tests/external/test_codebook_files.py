"""Codebook files of other systems: the same float32 numbers from every form, nothing executed."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizer.samples import pattern

from drq_spark.errors import InputRefused
from drq_spark.external.codebook_files import read_codebooks

BOOKS = [pattern(8, 3), pattern(8, 3, start=100), pattern(8, 3, start=200)]
UNEVEN = [pattern(8, 3), pattern(5, 3, start=100)]


def saved(path, form, books):
    named = {name: dict(zip([name.format(i) for i in range(len(books))], books, strict=True)) for name in NAMES}
    if form == "npy":
        np.save(path, np.stack(books))
    elif form.startswith("npz one"):
        np.savez(path, **{form.removeprefix("npz one "): np.stack(books)})
    elif form.startswith("npz"):
        np.savez(path, **named[form.removeprefix("npz ")])
    else:
        save_file(named[form.removeprefix("safetensors ")], path)
    return next(path.parent.iterdir())


NAMES = ("codebook_{}", "codebook.{}", "centroids.{}", "centroids_{}")
FORMS = [*(f"npz {name}" for name in NAMES), *(f"safetensors {name}" for name in NAMES)]


@pytest.mark.parametrize("form", ["npy", "npz one codebooks", "npz one centroids", *FORMS])
def test_every_form_gives_the_same_books(tmp_path, form):
    path = saved(tmp_path / "books", form, BOOKS).rename(tmp_path / "without an ending")  # content tells, not the name
    found = read_codebooks(str(path))
    assert [book.tolist() for book in found] == [book.tolist() for book in BOOKS]
    assert {book.dtype for book in found} == {np.dtype(np.float32)}


@pytest.mark.parametrize("form", FORMS)
def test_levels_may_have_different_sizes(tmp_path, form):
    found = read_codebooks(str(saved(tmp_path / "books", form, UNEVEN)))
    assert [book.shape for book in found] == [(8, 3), (5, 3)]


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floats_are_rounded(tmp_path, kind):
    wide = [book.astype(kind) for book in BOOKS]
    found = read_codebooks(str(saved(tmp_path / "books", "npz codebook_{}", wide)))
    assert [book.tolist() for book in found] == [book.astype(np.float32).tolist() for book in wide]


def test_the_tenth_level_comes_after_the_ninth(tmp_path):
    books = [pattern(2, 3, start=100 * level) for level in range(11)]
    found = read_codebooks(str(saved(tmp_path / "books", "npz codebook_{}", books)))
    assert [book.tolist() for book in found] == [book.tolist() for book in books]


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be used"),
        (b"text", "cannot be used"),
        (b"PK\x03\x04 broken", "cannot be used"),
        (b"\x93NUMPY broken", "cannot be used"),
        (npy(np.zeros((3, 4), np.float32)), "one array codebooks [L, K, d]"),
        (npz(codebook_1=BOOKS[0]), "codebook_0, codebook_1"),
        (npz(codebook_0=BOOKS[0], codebook_2=BOOKS[0]), "codebook_0, codebook_1"),
        (npz(other=BOOKS[0]), "not other"),
        (npz(codebook_0=BOOKS[0], codebook_1=pattern(8, 4)), "one d for all"),
        (npz(codebook_0=BOOKS[0][:1]), "K of 2 or more"),
        (npz(codebook_0=BOOKS[0][0]), "must be [K, d]"),
        (npz(codebook_0=BOOKS[0].astype(np.int64)), "must be floats"),
        (npz(codebook_0=np.full((2, 2), np.nan)), "must be finite"),
        (npz(codebook_0=np.full((2, 2), 1e300)), "must be finite"),
    ],
)
def test_what_is_no_codebook_is_refused_in_one_line(tmp_path, content, says):
    (tmp_path / "books").write_bytes(content)
    with pytest.raises(InputRefused) as refusal:
        read_codebooks(str(tmp_path / "books"))
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return __import__("os").mkdir, (self.path,)


@pytest.mark.parametrize("wrap", [lambda trap: npy(np.array([trap]), allow_pickle=True), pickle.dumps,
                                  lambda trap: npz(codebook_0=np.array([trap]))])  # fmt: skip
def test_a_pickle_is_never_run(tmp_path, wrap):
    (tmp_path / "books").write_bytes(wrap(Trap(str(tmp_path / "sprung"))))
    with pytest.raises(InputRefused):
        read_codebooks(str(tmp_path / "books"))
    assert not (tmp_path / "sprung").exists()


def test_no_file_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="cannot be read"):
        read_codebooks(str(tmp_path / "nowhere.npz"))
