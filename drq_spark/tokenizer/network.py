"""The encoder and decoder networks, run in float64 numpy.

A network is a few matrix products, which BLAS adds up in an order of its own: `bounded` tells how far two orders can
part. Where that could change a SID, `FIXED` gives the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64
from drq_spark.tokenizer import fixed_order
from drq_spark.tokenizer.candidates import UNIT64
from drq_spark.vectors import unit_rows

_LARGEST = float(np.finfo(np.float32).max)


def silu(x: F64) -> F64:
    """x * sigmoid(x), elementwise (Elfwing et al. 2017); stable for large |x|."""
    return np.asarray(x * (0.5 * (1.0 + np.tanh(0.5 * x))))


@dataclass(frozen=True)
class Arithmetic:
    """How a network is computed: a b^T of [n, k] and [m, k], and the activation."""

    product: Callable[[F64, F64], F64]
    silu: Callable[[F64], F64]


FAST = Arithmetic(lambda a, b: a @ b.T, silu)
FIXED = Arithmetic(fixed_order.product, fixed_order.silu)


def narrowed(z: F64) -> F32:
    """Latents as float32 numbers, kept within their range."""
    return z.clip(-_LARGEST, _LARGEST).astype(np.float32)


@dataclass(frozen=True)
class ResidualMLP:
    """y = A u + V silu(U u s + h) + b with u = x - m: a linear map with a one-hidden-layer correction.

    With V = 0 it is an affine map (PCA and its inverse), which is where training starts.

    Attributes (all float32, in safetensors under `<name>.<attribute>`):
        shift: m, [n_in].
        linear: A, [n_out, n_in].
        bias: b, [n_out].
        scale: s, [1], brings u to unit coordinates.
        hidden: U, [n_hidden, n_in].
        hidden_bias: h, [n_hidden].
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
        """Width of the input, n_in."""
        return len(self.shift)

    @property
    def width_out(self) -> int:
        """Width of the output, n_out."""
        return len(self.bias)

    def __call__(self, x: NDArray[np.floating], by: Arithmetic = FAST) -> F64:
        """Apply to rows: [n, n_in] -> float64 [n, n_out]."""
        return self._applied(x, by)[0]

    def bounded(self, x: NDArray[np.floating]) -> tuple[F64, F64]:
        """y by `FAST`, and a bound on how far any other order of adding up can be from it; both float64 [n, n_out].

        A sum of k products is off by at most k u |a| |b|, u = 2^-53, in whatever order (Higham 2002, Accuracy and
        Stability of Numerical Algorithms, 3.1); silu by 12 u |v|, and its slope is below 1.1.
        """
        y, centred, inner = self._applied(x, FAST)
        norm, active = (np.sqrt(np.square(part).sum(axis=1))[:, None] for part in (centred, inner))
        linear, out, hidden = (
            np.square(part.astype(np.float64)).sum(axis=1) for part in (self.linear, self.out, self.hidden)
        )
        of_inner = abs(float(self.scale[0])) * norm * np.sqrt(hidden.sum()) + np.sqrt(
            np.square(self.hidden_bias, dtype=np.float64).sum()
        )
        through = 1.1 * (self.width_in + 6) * of_inner + (len(self.hidden_bias) + 20) * active
        error = (
            (self.width_in + 8) * norm * np.sqrt(linear)
            + through * np.sqrt(out)
            + 4 * np.abs(self.bias)
            + 4 * np.abs(y)
        )
        return y, 2.1 * UNIT64 * error  # both evaluations may be off

    def _applied(self, x: NDArray[np.floating], by: Arithmetic) -> tuple[F64, F64, F64]:
        """y, u = x - m and U u s + h."""
        centred = x.astype(np.float64) - self.shift
        inner = by.product(centred * float(self.scale[0]), self.hidden.astype(np.float64)) + self.hidden_bias
        linear = by.product(centred, self.linear.astype(np.float64))
        y = linear + by.product(by.silu(inner), self.out.astype(np.float64)) + self.bias
        return np.asarray(y), centred, inner

    def tensors(self) -> dict[str, F32]:
        """Attribute name -> array, for the artifact."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class BehaviourEncoder:
    """z = [x - m ; a (u / ||u|| - g)], u = network(x): the content as it is, and a direction learned from behaviour.

    u / ||u|| is 0 where u is.

    Attributes:
        network: x [n_in] -> u [n_behaviour].
        shift: m, float32 [n_in].
        centre: g, float32 [n_behaviour].
        scale: a, float32 [1].
    """

    network: ResidualMLP
    shift: F32
    centre: F32
    scale: F32

    def __post_init__(self) -> None:
        shapes = {"shift": (self.network.width_in,), "centre": (self.network.width_out,), "scale": (1,)}
        for name, shape in shapes.items():
            tensor = getattr(self, name)
            if tensor.shape != shape or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
                raise ValueError(f"{name} must be finite float32 of shape {shape}, not {tensor.dtype} {tensor.shape}")

    @property
    def width_in(self) -> int:
        """Width of the input, n_in."""
        return self.network.width_in

    @property
    def width_out(self) -> int:
        """Width of the output, n_in + n_behaviour."""
        return self.network.width_in + self.network.width_out

    def __call__(self, x: NDArray[np.floating], by: Arithmetic = FAST) -> F64:
        """Apply to rows: [n, n_in] -> float64 [n, n_in + n_behaviour]."""
        return self._joined(x, unit_rows(self.network(x, by)))

    def bounded(self, x: NDArray[np.floating]) -> tuple[F64, F64]:
        """z and a bound on how far other orders of adding up can be from it, as `ResidualMLP.bounded`; [n, n_out]."""
        u, error = self.network.bounded(x)
        direction = unit_rows(u)
        norm, off = (np.sqrt(np.square(part).sum(axis=1))[:, None] for part in (u, error))
        with np.errstate(divide="ignore", invalid="ignore"):
            turned = np.where(norm > off, (error + np.abs(direction) * off) / (norm - off), np.inf)
        turned += (self.network.width_out + 8) * UNIT64 * (np.abs(direction) + np.abs(self.centre))
        z = self._joined(x, direction)
        bound = np.zeros(z.shape)  # the content is one subtraction
        bound[:, self.width_in :] = abs(float(self.scale[0])) * turned
        return z, bound

    def _joined(self, x: NDArray[np.floating], direction: F64) -> F64:
        behaviour = (direction - self.centre) * float(self.scale[0])
        return np.concatenate([x.astype(np.float64) - self.shift, behaviour], axis=1)

    def tensors(self) -> dict[str, F32]:
        """Attribute name -> array, for the artifact."""
        own = {name: getattr(self, name) for name in ("shift", "centre", "scale")}
        return own | {f"network.{name}": tensor for name, tensor in self.network.tensors().items()}


@dataclass(frozen=True)
class ContentDecoder:
    """x_hat = q + m, q the first n_out coordinates of z_q: undoes the content part of `BehaviourEncoder`.

    Attributes:
        shift: m, float32 [n_out].
        width_in: How many coordinates z has.
    """

    shift: F32
    width_in: int

    def __post_init__(self) -> None:
        if self.shift.ndim != 1 or self.shift.dtype != np.float32 or not np.isfinite(self.shift).all():
            raise ValueError(f"shift must be finite float32 [n_out], not {self.shift.dtype} {self.shift.shape}")
        if self.width_in < self.width_out:
            raise ValueError(f"a latent of {self.width_in} numbers does not hold {self.width_out}")

    @property
    def width_out(self) -> int:
        """Width of the output, n_out."""
        return len(self.shift)

    def __call__(self, z: NDArray[np.floating]) -> F64:
        """Apply to rows: [n, width_in] -> float64 [n, n_out]."""
        return np.asarray(z[:, : self.width_out].astype(np.float64) + self.shift)

    def tensors(self) -> dict[str, F32]:
        """Attribute name -> array, for the artifact."""
        return {"shift": self.shift}


Encoder = ResidualMLP | BehaviourEncoder
Decoder = ResidualMLP | ContentDecoder
