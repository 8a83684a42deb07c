"""Arrays of codes in every layout: the rows of numpy itself, whatever slice a task reads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from drq_spark.errors import InputRefused
from drq_spark.external.array_files import ArrayNames, _arrays, _chosen
from drq_spark.external.array_files_worker import row_reader

CODES = np.random.default_rng(0).integers(0, 200, size=(300, 3))
PLAIN = ArrayNames(None, None, numbered=False, levels=None)


def rows(path, names=PLAIN, cuts=(0, 1, 100, 300)):
    """item_id and codes, read in slices."""
    chosen = _chosen(_arrays(str(path), "m"), names, "m")
    batches = [pa.RecordBatch.from_arrays([pa.array(np.arange(first, last))], ["id"]) for first, last in pairwise(cuts)]
    table = pa.Table.from_batches(list(row_reader(chosen)(iter(batches))))
    return table["item_id"].to_pylist(), table["codes"].to_pylist(), chosen.ddl()


@pytest.mark.parametrize("kind", ["<i8", ">i4", "u1", "<u2"])
@pytest.mark.parametrize("layout", ["[N, L]", "[L, N]", "[N, L] by column", "[L, N] by column"])
def test_every_layout_and_type(tmp_path, kind, layout):
    array = CODES.astype(kind) if layout.startswith("[N") else CODES.T.astype(kind)
    np.save(tmp_path / "m.npy", np.asfortranarray(array) if "column" in layout else np.ascontiguousarray(array))
    assert rows(tmp_path / "m.npy") == (list(range(300)), CODES.tolist(), "item_id bigint, codes array<bigint>")


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("codes", [CODES, CODES.T])
def test_archives_with_ids(tmp_path, write, codes):
    ids = np.array([f"größe {n}" for n in range(300)])
    write(tmp_path / "m.npz", ids=ids, codes=codes, embeds=np.zeros((300, 8)))
    assert rows(tmp_path / "m.npz") == (ids.tolist(), CODES.tolist(), "item_id string, codes array<bigint>")
    numbered = ArrayNames(None, None, numbered=True, levels=None)
    assert rows(tmp_path / "m.npz", numbered)[0] == list(range(300))


def test_arrays_of_other_names(tmp_path):
    np.savez(tmp_path / "m.npz", mine=np.arange(300) * 2, a=CODES, b=CODES + 1)
    named = ArrayNames("mine", "b", numbered=False, levels=None)
    assert rows(tmp_path / "m.npz", named)[:2] == ((np.arange(300) * 2).tolist(), (CODES + 1).tolist())
    for names, says in (
        (PLAIN, "say with --set sids.column=NAME"),
        (ArrayNames("x", "a", False, None), "no array 'x'"),
    ):
        with pytest.raises(InputRefused, match=says):
            rows(tmp_path / "m.npz", names)


def test_text_is_read_as_text(tmp_path):
    np.save(tmp_path / "m.npy", np.array(["<a_1><b_2>", "<a_3><b_4>"]))
    assert rows(tmp_path / "m.npy", cuts=(0, 2)) == (
        [0, 1],
        ["<a_1><b_2>", "<a_3><b_4>"],
        "item_id bigint, codes string",
    )
    np.save(tmp_path / "m.npy", np.array([[b"<a_1>", b"<b_2>"]] * 40))
    assert rows(tmp_path / "m.npy", cuts=(0, 40))[1:] == (
        [["<a_1>", "<b_2>"]] * 40, "item_id bigint, codes array<string>",
    )  # fmt: skip


def test_a_small_square_takes_the_levels_that_are_told(tmp_path):
    np.save(tmp_path / "m.npy", CODES[:5])
    with pytest.raises(InputRefused, match=r"\[5, 3\], which may be .* set sids.levels"):
        rows(tmp_path / "m.npy")
    assert rows(tmp_path / "m.npy", ArrayNames(None, None, False, 3), (0, 5))[1] == CODES[:5].tolist()
    assert rows(tmp_path / "m.npy", ArrayNames(None, None, False, 5), (0, 3))[1] == CODES[:5].T.tolist()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (CODES.astype(float), r"codes are <f8; they must be integers or text: save them with .astype\('int64'\)"),
        (CODES[None], r"codes are \[1, 300, 3\]"),
        (np.zeros((300, 64), int), r"with L of at most 26"),
        (np.array({"a": [1]}, dtype=object), r"are a pickle.*numpy.load\('m', allow_pickle=True\)"),
        (np.zeros(30, [("a", int)]), r"must be integers or text"),
    ],
)
def test_arrays_that_are_no_codes(tmp_path, array, says):
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(InputRefused, match=says):
        rows(tmp_path / "m.npy")


def test_a_file_that_ends_early_is_told(tmp_path):
    np.save(tmp_path / "m.npy", CODES)
    content = (tmp_path / "m.npy").read_bytes()
    (tmp_path / "m.npy").write_bytes(content[:-8])
    with pytest.raises(ValueError, match="ends early"):
        rows(tmp_path / "m.npy")
