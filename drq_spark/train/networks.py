"""What the trained encoders and decoders have in common: coordinates, and the torch twin of `ResidualMLP`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drq_spark.arrays import F32
from drq_spark.blocks import row_blocks
from drq_spark.tokenizer.network import ResidualMLP


@dataclass(frozen=True)
class Coordinates:
    """Coordinates of training: u = (x - mean) / unit, unit a power of two so that nothing is rounded on the way."""

    mean: F32
    unit: float
    axes: F32
    variance: NDArray[np.float64]

    @classmethod
    def of(cls, fit: F32) -> Coordinates:
        """Mean [D], unit, principal axes [D, D] (rows, largest variance first) and variances [D] of x along them."""
        mean = fit.mean(axis=0, dtype=np.float64).astype(np.float32)
        covariance = np.zeros((fit.shape[1], fit.shape[1]))
        for block in row_blocks(*fit.shape):
            centred = fit[block].astype(np.float64) - mean
            covariance += centred.T @ centred
        variance, axes = np.linalg.eigh(covariance / len(fit))
        rms = np.sqrt(max(variance.mean(), 0.0))
        unit = float(2.0 ** np.round(np.log2(rms))) if rms > 0 else 1.0
        return cls(mean, unit, axes.T[::-1].astype(np.float32), variance[::-1].clip(min=0.0))


class SkipNetwork(nn.Module):
    """y = A u + V silu(U u + h) + b, the torch twin of `ResidualMLP` in training coordinates."""

    def __init__(self, linear: F32, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        n_out, n_in = linear.shape
        self.linear = nn.Parameter(torch.from_numpy(linear.copy()))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.hidden = nn.Parameter(torch.randn(hidden, n_in, generator=generator) / n_in**0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.out = nn.Parameter(torch.zeros(n_out, hidden))

    def features(self, u: Tensor) -> Tensor:
        """The hidden layer, [n, n_hidden]."""
        return nn.functional.silu(u @ self.hidden.T + self.hidden_bias)

    def forward(self, u: Tensor, features: Tensor | None = None) -> Tensor:
        """Apply to rows: [n, n_in] -> [n, n_out]; takes the hidden layer where it is known already."""
        features = self.features(u) if features is None else features
        return u @ self.linear.T + features @ self.out.T + self.bias

    def export(self, unit: float, shift: F32, bias: F32) -> ResidualMLP:
        """The same map for inputs shift + unit * u, with outputs bias + unit * y."""
        host = {name: value.detach().cpu().numpy() for name, value in self.named_parameters()}
        return ResidualMLP(
            shift=shift,
            linear=host["linear"],
            bias=(host["bias"] * unit + bias).astype(np.float32),
            scale=np.array([1 / unit], np.float32),
            hidden=host["hidden"],
            hidden_bias=host["hidden_bias"],
            out=(host["out"] * unit).astype(np.float32),
        )
