"""The encoder and decoder networks, run in float64 numpy so that every machine gets the same latents."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def silu(x: F64) -> F64:
    """x * sigmoid(x), elementwise (Elfwing et al. 2017); stable for large |x|."""
    return np.asarray(x * (0.5 * (1.0 + np.tanh(0.5 * x))))


@dataclass(frozen=True)
class ResidualMLP:
    """y = A u + V silu(U u s + h) + b with u = x - m: a linear map with a one-hidden-layer correction.

    With V = 0 it is an affine map (PCA and its inverse), which is where training starts.

    Attributes (all float32, in safetensors under `<name>.<attribute>`):
        shift: m, [n_in]. linear: A, [n_out, n_in]. bias: b, [n_out].
        scale: s, [1], brings u to unit coordinates. hidden: U, [n_hidden, n_in]. hidden_bias: h, [n_hidden].
        out: V, [n_out, n_hidden].
    """

    shift: F32
    linear: F32
    bias: F32
    scale: F32
    hidden: F32
    hidden_bias: F32
    out: F32

    def __post_init__(self) -> None:
        n_out, n_in, n_hidden = len(self.bias), len(self.shift), len(self.hidden_bias)
        shapes = ((n_in,), (n_out, n_in), (n_out,), (1,), (n_hidden, n_in), (n_hidden,), (n_out, n_hidden))
        for (name, tensor), shape in zip(self.tensors().items(), shapes, strict=True):
            if tensor.shape != shape or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
                raise ValueError(f"{name} must be finite float32 of shape {shape}, not {tensor.dtype} {tensor.shape}")

    @property
    def width_in(self) -> int:
        """n_in."""
        return len(self.shift)

    @property
    def width_out(self) -> int:
        """n_out."""
        return len(self.bias)

    def __call__(self, x: NDArray[np.floating]) -> F64:
        """Apply to rows: [n, n_in] -> float64 [n, n_out]."""
        centred = x.astype(np.float64) - self.shift
        inner = (centred * float(self.scale[0])) @ self.hidden.T.astype(np.float64) + self.hidden_bias
        return np.asarray(
            centred @ self.linear.T.astype(np.float64) + silu(inner) @ self.out.T.astype(np.float64) + self.bias
        )

    def tensors(self) -> dict[str, F32]:
        """Attribute name -> array, for the artifact."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
