"""The frozen tokenizer: the one value that crosses from training to assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drq_spark.tokenizer.kernel import Level, nearest
from drq_spark.tokenizer.keys import check_codebook_sizes, codes_to_keys
from drq_spark.tokenizer.network import ResidualMLP

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Normalize = Literal["none", "l2"]

_BLOCK_ELEMENTS = 2**21  # float64 numbers of one block of rows while encoding
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Encoding:
    """SIDs of n items with what is known about each.

    Attributes:
        codes: int32 [n, L]. margin: float32 [n, L], see `kernel.Nearest`. residual_square: float64 [n, L],
        ||r^{l+1}||^2, what is left of the latent after each level. uncertain: rows per level, int64 [L], that were
        decided in float64.
    """

    codes: NDArray[np.int32]
    margin: F32
    residual_square: F64
    uncertain: NDArray[np.int64]


@dataclass(frozen=True)
class Tokenizer:
    """Encoder, codebooks and decoder, never changed after training.

    Residual quantization: z = f(x), r^1 = z, s^l = argmin_k ||r^l - c^l_k||^2 + b^l_k, r^{l+1} = r^l - c^l_{s^l};
    reconstruction z_q = sum_l t^l_{s^l}, x_hat = g(z_q).

    Attributes:
        kind: name of the trainer. dim: D. normalize: what happens to x first ("l2": x / ||x||).
        codebooks: one float32 [K_l, d] per level. prices: one float32 [K_l] per level, or None (b = 0).
        tables: decode tables t, one float32 [K_l, d] per level, or None (the codebooks themselves).
        encoder, decoder: f and g, or None for the identity.
        latent_rms: RMS of the latents per effective coordinate, sqrt(tr S^2 / tr S) with S their covariance over the
        training sample: the unit of sigma in every capacity figure.
        training: settings, sample fingerprint, seed, library versions, metrics; plain JSON values.
    """

    kind: str
    dim: int
    normalize: Normalize
    codebooks: tuple[F32, ...]
    latent_rms: float
    prices: tuple[F32, ...] | None = None
    tables: tuple[F32, ...] | None = None
    encoder: ResidualMLP | None = None
    decoder: ResidualMLP | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.normalize not in get_args(Normalize):
            raise ValueError(f"normalize must be one of {get_args(Normalize)}, not {self.normalize!r}")
        if not (np.isfinite(self.latent_rms) and self.latent_rms >= 0):
            raise ValueError(f"latent_rms must be a number from 0, not {self.latent_rms!r}")
        if not self.codebooks or any(book.ndim != 2 for book in self.codebooks):
            raise ValueError("codebooks must be one matrix per level")
        check_codebook_sizes(self.codebook_sizes)
        shapes = [(size, self.latent_dim) for size in self.codebook_sizes]
        _check_tensors("codebook", self.codebooks, shapes)
        if self.prices is not None:
            _check_tensors("price", self.prices, [(size,) for size in self.codebook_sizes])
        if self.tables is not None:
            _check_tensors("table", self.tables, shapes)
        _check_network("encoder", self.encoder, self.dim, self.latent_dim)
        _check_network("decoder", self.decoder, self.latent_dim, self.dim)

    @property
    def levels(self) -> int:
        """L."""
        return len(self.codebooks)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """K per level."""
        return tuple(len(book) for book in self.codebooks)

    @property
    def latent_dim(self) -> int:
        """d."""
        return int(self.codebooks[0].shape[1])

    @cached_property
    def _prepared(self) -> tuple[Level, ...]:
        prices = self.prices or (None,) * self.levels
        return tuple(Level.prepare(book, price) for book, price in zip(self.codebooks, prices, strict=True))

    @cached_property
    def _tables64(self) -> tuple[F64, ...]:
        return tuple(table.astype(np.float64) for table in (self.tables or self.codebooks))

    def prepare_input(self, x: NDArray[np.floating]) -> F32:
        """The x that every figure speaks of: float32 [n, D], divided by its norm where `normalize` is "l2".

        Raises:
            ValueError: another dimension than D, values that are not finite as float32, or a norm of 0 with "l2".
        """
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"the tokenizer takes rows of {self.dim} numbers, not an array of shape {x.shape}")
        with np.errstate(over="ignore"):
            narrow = np.ascontiguousarray(x, np.float32)
        if not np.isfinite(narrow).all():
            raise ValueError("embeddings must be finite float32 numbers")
        if self.normalize == "l2" and not narrow.any(axis=1).all():
            raise ValueError('embeddings of norm 0 have no direction, and normalize is "l2"')
        return normalized(narrow, self.normalize)

    def latent(self, x: F32) -> F32:
        """z = f(x), float32 [n, d], of prepared rows x; computed in float64, kept within the range of float32."""
        return x if self.encoder is None else self.encoder(x).clip(-_LARGEST, _LARGEST).astype(np.float32)

    def encode(self, x: NDArray[np.floating]) -> Encoding:
        """SIDs of raw rows x [n, D].

        Raises:
            ValueError: see `prepare_input`.
        """
        return self.encode_latent(self.latent(self.prepare_input(x)))

    def encode_latent(self, z: F32) -> Encoding:
        """SIDs of latents z, float32 [n, d], finite."""
        rows = len(z)
        result = Encoding(
            codes=np.empty((rows, self.levels), np.int32),
            margin=np.empty((rows, self.levels), np.float32),
            residual_square=np.empty((rows, self.levels), np.float64),
            uncertain=np.zeros(self.levels, np.int64),
        )
        step = max(1, _BLOCK_ELEMENTS // self.latent_dim)
        for start in range(0, rows, step):
            block = slice(start, start + step)
            residual = z[block].astype(np.float64)
            for index, level in enumerate(self._prepared):
                found = nearest(residual, level)
                residual = found.residual
                result.codes[block, index] = found.code
                result.margin[block, index] = found.margin
                result.residual_square[block, index] = (residual * residual).sum(axis=1)
                result.uncertain[index] += found.uncertain
        return result

    def decode_latent(self, codes: NDArray[np.integer]) -> F64:
        """z_q = sum_l t^l_{s^l}, float64 [n, d]: a function of the SID alone.

        Raises:
            ValueError: codes that are not [n, L] or out of range.
        """
        codes_to_keys(codes, self.codebook_sizes)  # refuses what numpy would wrap around
        total = np.zeros((len(codes), self.latent_dim))
        for index, table in enumerate(self._tables64):
            total += table[codes[:, index]]
        return total

    def decode(self, codes: NDArray[np.integer]) -> F64:
        """x_hat = g(z_q), float64 [n, D].

        Raises:
            ValueError: see `decode_latent`.
        """
        latent = self.decode_latent(codes)
        return latent if self.decoder is None else self.decoder(latent)

    def anchor(self) -> tuple[F64, F64]:
        """A point near the mean of x [D] and one near the mean of z [d], about which sums of squares lose no digits."""
        latent = sum((table.mean(axis=0) for table in self._tables64), np.zeros(self.latent_dim))
        return (latent if self.decoder is None else self.decoder(latent[None])[0]), latent

    def keys(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Mixed-radix keys int64 [n] of codes [n, L]."""
        return codes_to_keys(codes, self.codebook_sizes)


def _check_tensors(name: str, tensors: tuple[F32, ...], shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse tensors that are not one finite float32 array of the given shape per level."""
    if [tensor.shape for tensor in tensors] != list(shapes):
        raise ValueError(f"{name} tensors must have shapes {list(shapes)}, not {[tensor.shape for tensor in tensors]}")
    if not all(tensor.dtype == np.float32 and np.isfinite(tensor).all() for tensor in tensors):
        raise ValueError(f"{name} tensors must be finite float32 numbers")


def _check_network(name: str, network: ResidualMLP | None, width_in: int, width_out: int) -> None:
    """Refuse an encoder or decoder between other dimensions than the tokenizer's."""
    shape = (width_in, width_in) if network is None else (network.width_in, network.width_out)
    if shape != (width_in, width_out):
        raise ValueError(f"the {name} must take {width_in} numbers to {width_out}, not {shape[0]} to {shape[1]}")


def normalized(x: NDArray[np.floating], normalize: Normalize) -> F32:
    """float32 rows, divided by their norms (taken in float64) for "l2"; rows of norm zero must be gone by then."""
    if normalize == "none":
        return x.astype(np.float32, copy=False)
    wide = x.astype(np.float64)
    return np.asarray((wide / np.sqrt((wide * wide).sum(axis=1, keepdims=True))).astype(np.float32))


def effective_rms(latents: F32) -> float:
    """RMS per effective coordinate, sqrt(tr S^2 / tr S), S the covariance (divisor n) of latents float32 [n, d].

    Dimensions without variance and rotations do not change it (design: the unit of sigma); sqrt(tr S / p) with p the
    participation ratio (tr S)^2 / tr S^2 is the same number. Zero where the latents do not vary.
    """
    rows, dim = latents.shape
    if not rows:
        return 0.0
    mean = latents.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((dim, dim))
    step = max(1, _BLOCK_ELEMENTS // dim)
    for start in range(0, rows, step):
        centred = latents[start : start + step] - mean
        covariance += centred.T @ centred
    covariance /= rows
    trace = float(np.trace(covariance))
    return float(np.sqrt((covariance * covariance).sum() / trace)) if trace > 0 else 0.0
