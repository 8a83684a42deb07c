"""Products by torch, on a GPU: in full float32, whatever a process has allowed torch to round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from drq_spark.arrays import F32
from drq_spark.errors import SetupError
from drq_spark.tokenizer.fast.pass_arrays import aligned

_MOST_ROWS = 2**12  # beside their transfer the call costs little then, and the passes find more of them in the cache
_TILE_SCORES = 2**23  # of a level: 32 MB


@contextmanager
def full_float32() -> Iterator[None]:
    """No TF32 in products of CUDA meanwhile; what the process had set is as before afterwards."""
    matmul = torch.backends.cuda.matmul
    # torch 2.9 has given the setting another name, and refuses to read the old one where the new one was written
    name, full = ("fp32_precision", "ieee") if hasattr(matmul, "fp32_precision") else ("allow_tf32", False)
    before = getattr(matmul, name)
    setattr(matmul, name, full)
    try:
        yield
    finally:
        setattr(matmul, name, before)


@contextmanager
def _faults_told() -> Iterator[None]:
    """What torch says of a GPU in many lines, in one."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise SetupError(
            "the GPU has no memory left for the products of this task: let fewer tasks share it "
            "(spark.task.resource.gpu.amount nearer to 1)"
        ) from None
    except RuntimeError as error:  # no kernels for this card, a card that is busy or broken
        told = str(error).strip().partition("\n")[0]
        raise SetupError(f"torch cannot multiply on the GPU ({told}): mend that, or set assign.device=cpu") from error


@dataclass(frozen=True)
class TorchProduct:
    """The product with an operand, float32 [d, K], that lies on a device."""

    operand: torch.Tensor

    def __call__(self, rows: F32, out: F32) -> None:
        """out = rows @ operand, float32 [n, d] -> [n, K].

        Raises:
            SetupError: the GPU has no memory left, or torch cannot use it.
        """
        with _faults_told(), full_float32():
            there = torch.from_numpy(rows).to(self.operand.device)
            made = torch.empty(out.shape, dtype=torch.float32, device=self.operand.device)
            torch.mm(there, self.operand, out=made)  # into float32: what autocast would narrow has no `out`
            torch.from_numpy(out).copy_(made)


@dataclass(frozen=True)
class TorchProducts:
    """A device that multiplies, as a `Multiplier`: one product for all levels, and large tiles.

    Attributes:
        device: Torch's name of it, such as cuda:0; with "cpu" it stands in for a GPU.
    """

    on_gpu: ClassVar[bool] = True

    device: str
    codes: int = 2**62
    long_row: int = 1

    def rows_of_tile(self, width: int, scores: int) -> int:
        """See `Multiplier`."""
        return max(min(_MOST_ROWS, _TILE_SCORES // scores), 1)

    def room(self, *shape: int) -> F32:
        """See `Multiplier`; in memory that a GPU reads and writes without a copy."""
        return aligned(*shape, memory=self._pinned)

    def product(self, operand: F32) -> TorchProduct:
        """See `Multiplier`.

        Raises:
            SetupError: the GPU has no memory left, or torch cannot use it.
        """
        with _faults_told():
            return TorchProduct(torch.from_numpy(operand).to(self.device))

    def _pinned(self, size: int) -> NDArray[np.uint8]:
        if self.device == "cpu":
            memory = torch.empty(size, dtype=torch.uint8)
        else:  # pinning opens a context on the current GPU: not that of every task on the first one
            with _faults_told(), torch.cuda.device(self.device):
                memory = torch.empty(size, dtype=torch.uint8, pin_memory=True)
        own: NDArray[np.uint8] = memory.numpy()
        return own
