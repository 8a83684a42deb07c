"""What the tensors of a tokenizer must be, so that they fit together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drq_spark.arrays import F32
from drq_spark.tokenizer.network import Decoder, Encoder


def check_tensors(name: str, tensors: tuple[F32, ...], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse tensors that are not one finite float32 array of the given shape per level.

    Raises:
        ValueError: they are not.
    """
    if [tensor.shape for tensor in tensors] != list(shapes):
        raise ValueError(f"{name} tensors must have shapes {list(shapes)}, not {[tensor.shape for tensor in tensors]}")
    if not all(tensor.dtype == np.float32 and np.isfinite(tensor).all() for tensor in tensors):
        raise ValueError(f"{name} tensors must be finite float32 numbers")


def check_network(name: str, network: Encoder | Decoder | None, width_in: int, width_out: int) -> None:
    """Refuse an encoder or decoder between other dimensions than the tokenizer's.

    Raises:
        ValueError: it is.
    """
    shape = (width_in, width_in) if network is None else (network.width_in, network.width_out)
    if shape != (width_in, width_out):
        raise ValueError(f"the {name} must take {width_in} numbers to {width_out}, not {shape[0]} to {shape[1]}")
