"""Which search encodes, and that nothing but time depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tokenizer.samples import behaving, full, plain, rows

from drq_spark.tokenizer import kernel_choice
from drq_spark.tokenizer.kernel_choice import LARGEST_BOOK, WIDEST_BEAM, Searches

FORMS = [plain(), plain(beam=4), full(beam=3), behaving()]

_CHILD = """
import sys
if sys.argv[1] == "blocked":
    sys.modules["numba"] = None  # an import of it fails
from drq_spark.tokenizer import kernel_choice
kernel_choice.WORK_OF_LOADING = kernel_choice.WORK_OF_COMPILING = 0 if sys.argv[1] != "small" else 10**10
import numpy as np
from tokenizer.samples import plain, rows
found = plain(beam=3).encode(rows(50) * np.float32(64))
print(found.compiled, sys.modules.get("numba") is not None, found.codes.sum(), found.margin.sum())
"""


def in_a_process(kind: str, **environment: str) -> list[str]:
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", _CHILD, kind]
    reply = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths, **environment}, capture_output=True, text=True, check=True
    )
    return [*reply.stdout.split(), reply.stderr]


@pytest.fixture
def at_once(monkeypatch):
    """The compiled search pays from the first row on."""
    pytest.importorskip("numba")
    monkeypatch.setattr(kernel_choice, "WORK_OF_LOADING", 0)
    monkeypatch.setattr(kernel_choice, "WORK_OF_COMPILING", 0)


@pytest.mark.parametrize("tokenizer", FORMS, ids=["greedy", "beam", "encoder", "behaviour"])
def test_a_tokenizer_gives_the_same_bits_either_way(tokenizer, at_once, monkeypatch):
    x = rows(80, tokenizer.dim)
    fast = tokenizer.encode(x)
    assert fast.compiled == 80
    assert tokenizer.codes(x).tolist() == fast.codes.tolist()
    monkeypatch.setattr(kernel_choice, "WORK_OF_LOADING", 10**10)
    again = type(tokenizer)(**{name: getattr(tokenizer, name) for name in tokenizer.__dataclass_fields__})
    slow = again.encode(x)
    assert slow.compiled == 0
    for name in ("codes", "margin", "residual_square"):
        assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes()
    assert again.codes(x).tolist() == fast.codes.tolist()


def test_numpy_goes_first_until_loading_pays(monkeypatch):
    pytest.importorskip("numba")
    tokenizer = plain()  # 6 numbers, 8 + 5 + 4 codes: 102 multiply-adds a row
    monkeypatch.setattr(kernel_choice, "WORK_OF_LOADING", 102 * 30)
    monkeypatch.setattr(kernel_choice, "WORK_OF_COMPILING", 102 * 30)
    counts = [tokenizer.encode(rows(10)).compiled for _ in range(4)]
    assert counts == [0, 0, 10, 10]


@pytest.mark.parametrize(("complete", "expected"), [(True, [0, 10, 10]), (False, [0, 0, 10])])
def test_what_has_to_be_compiled_first_pays_later(complete, expected, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr("drq_spark.tokenizer.fast.code_cache.is_complete", lambda: complete)
    monkeypatch.setattr(kernel_choice, "WORK_OF_LOADING", 102 * 20)
    monkeypatch.setattr(kernel_choice, "WORK_OF_COMPILING", 102 * 30)
    tokenizer = plain()
    assert [tokenizer.encode(rows(10)).compiled for _ in range(3)] == expected


def test_beams_and_books_without_room_stay_with_numpy(at_once):
    assert plain(beam=WIDEST_BEAM).encode(rows(10)).compiled == 10
    assert plain(beam=WIDEST_BEAM + 1).encode(rows(10)).compiled == 0

    class Huge:
        codewords = np.empty((LARGEST_BOOK + 1, 0), np.float32)

    assert not Searches([Huge()], 1)._can_compile  # type: ignore[list-item]


def test_without_numba_numpy_gives_the_same(at_once):
    compiled, blocked, small = (in_a_process(kind) for kind in ("compiled", "blocked", "small"))
    assert [reply[0] for reply in (compiled, blocked, small)] == ["50", "0", "0"]
    assert [reply[1] for reply in (compiled, blocked, small)] == ["True", "False", "False"]  # small data imports none
    assert compiled[2:4] == blocked[2:4] == small[2:4]


def test_a_folder_that_cannot_be_written_is_no_folder(at_once, monkeypatch, tmp_path):
    from drq_spark.tokenizer.fast import code_cache

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DRQ_CACHE", str(tmp_path / "file"))
    code_cache.code_folder.cache_clear()
    assert code_cache.code_folder() is None
    assert not code_cache.is_complete()
    code_cache.mark_complete()  # does nothing
    monkeypatch.undo()
    code_cache.code_folder.cache_clear()
    assert code_cache.code_folder() is not None


def test_another_order_of_adding_up_is_noticed(at_once, monkeypatch, caplog):
    from drq_spark.tokenizer.fast import fast_search

    plain().encode(rows(1))  # loaded
    plan = fast_search.summation_plan
    monkeypatch.setattr(fast_search, "summation_plan", lambda dim: plan(dim)[:, :] * 0 + [[0, 1, 0]])
    assert plain().encode(rows(10)).compiled == 0
    assert "adds up in another order" in caplog.text


def test_numba_that_does_not_work_is_told(at_once, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "drq_spark.tokenizer.fast.fast_search", None)
    assert plain().encode(rows(10)).compiled == 0
    assert "numba does not work here" in caplog.text
