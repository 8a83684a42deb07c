"""Torch in the place of numpy: the same bits, and never less than float32, whatever the process allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from tokenizer.compared_searches import METRICS, check, levels_of
from tokenizer.hard_cases import HARD_CASES, random_case

pytest.importorskip("numba")

import torch

from drq_spark.errors import SetupError
from drq_spark.gpu.torch_products import TorchProducts, full_float32
from drq_spark.tokenizer.fast.products import multiplies_in_float32

STAND_IN = TorchProducts("cpu")


@pytest.fixture
def tf32_allowed() -> Iterator[None]:
    """A process that lets torch round to TF32, by the name of torch 2.4."""
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("name", ["random, d = 100, K = (50, 37, 64)", "codewords a unit apart", "scale 1e+30",
                                  "rows far from all codewords", "no rows"])  # fmt: skip
def test_torch_gives_the_bits_of_numpy(name, width):
    _, z, books = next(case for case in HARD_CASES if case[0] == name)
    for metric in METRICS:
        assert check(z, levels_of(books, metric), width, STAND_IN).on_gpu == len(z)


def test_books_of_many_codes_are_multiplied_at_once(monkeypatch):
    widths = []

    def counted(one: torch.Tensor, other: torch.Tensor, *, out: torch.Tensor) -> None:
        widths.append(out.shape)
        out.copy_(one @ other)

    z, books = random_case(300, 9, (1100, 1030))
    monkeypatch.setattr(torch, "mm", counted)
    search_of_all = check(z, levels_of(books, "plain"), 1, STAND_IN)
    assert len(search_of_all.codes) == 300
    assert set(widths) == {(300, 1104), (300, 1040)}  # whole vectors of 16, and no blocks


def test_tiles_hold_so_many_scores():
    assert STAND_IN.rows_of_tile(1, 256) == 4096
    assert STAND_IN.rows_of_tile(4, 2**20) == 8
    assert STAND_IN.rows_of_tile(4, 2**30) == 1


@pytest.mark.parametrize("shape", [(3, 5), (1,), (0, 7)])
def test_rooms_begin_on_a_border_of_64_bytes(shape):
    room = STAND_IN.room(*shape)
    assert (room.shape, room.dtype, room.ctypes.data % 64) == (shape, np.float32, 0)


def test_memory_of_the_host_is_pinned_by_the_gpu_of_the_task_alone(monkeypatch):
    """Pinning opens a context on the current GPU, of half a GB, and that is the first one unless it is said."""
    current, pinned, empty = [0], [], torch.empty

    @contextmanager
    def device(name: str) -> Iterator[None]:
        current.append(int(name.removeprefix("cuda:")))
        yield
        current.pop()

    def pinning(size: int, *, dtype: torch.dtype, pin_memory: bool) -> torch.Tensor:
        assert pin_memory
        pinned.append(current[-1])
        return empty(size, dtype=dtype)

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch, "empty", pinning)
    room = TorchProducts("cuda:3").room(5, 7)
    assert (room.shape, pinned, current) == ((5, 7), [3], [0])


def test_no_product_is_made_while_tf32_is_allowed(tf32_allowed, monkeypatch):
    """The setting is off for the product alone, and what the process had set comes back, after a fault too."""
    matmul, seen = torch.backends.cuda.matmul, []

    def watched(one: torch.Tensor, other: torch.Tensor, *, out: torch.Tensor) -> None:
        seen.append(
            torch._C._get_cublas_allow_tf32() if not hasattr(matmul, "fp32_precision") else matmul.fp32_precision
        )
        raise KeyError("watched")

    monkeypatch.setattr(torch, "mm", watched)
    product = STAND_IN.product(np.ones((2, 16), np.float32))
    with pytest.raises(KeyError, match="watched"):
        product(STAND_IN.room(3, 2), STAND_IN.room(3, 16))
    assert seen in ([False], ["ieee"])
    assert matmul.allow_tf32
    assert torch.get_float32_matmul_precision() == "high"


def test_settings_under_the_old_name_are_kept_too(monkeypatch):
    """Torch before 2.9 knows `allow_tf32` alone."""

    class Old:
        allow_tf32 = True

    old = Old()
    monkeypatch.setattr(torch.backends.cuda, "matmul", old)
    with full_float32():
        assert old.allow_tf32 is False
    assert old.allow_tf32 is True


def test_autocast_does_not_narrow_a_product():
    rows, out = STAND_IN.room(4, 3), STAND_IN.room(4, 16)
    rows[...], operand = 1 + 2.0**-20, np.full((3, 16), 1 + 2.0**-20, np.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        STAND_IN.product(operand)(rows, out)
        assert multiplies_in_float32(STAND_IN, 40)
    assert (out > 3 + 2.0**-19).all()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory.\nGPU 0 has .."),
            "the GPU has no memory left .*: let fewer .*",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available\nCUDA kernel errors might be .."),
            r"torch cannot multiply on the GPU \(CUDA error: no kernel image is available\): .* assign\.device=cpu",
        ),
    ],
)
def test_what_torch_says_of_a_gpu_in_many_lines_is_one(fault, says, monkeypatch):
    def faulty(*_: object, **__: object) -> None:
        raise fault

    product = STAND_IN.product(np.ones((2, 16), np.float32))
    monkeypatch.setattr(torch, "mm", faulty)
    with pytest.raises(SetupError, match=f"^{says}$"):
        product(STAND_IN.room(3, 2), STAND_IN.room(3, 16))
