"""The frozen tokenizer: the one value that crosses from training to assignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drq_spark.arrays import F32, F64, I32
from drq_spark.code_space import check_codebook_sizes
from drq_spark.tokenizer.beam import Paths, search
from drq_spark.tokenizer.encoding import Encoding
from drq_spark.tokenizer.kernel import Level
from drq_spark.tokenizer.kernel_choice import Searches
from drq_spark.tokenizer.keys import codes_to_keys
from drq_spark.tokenizer.network import FIXED, Decoder, Encoder, narrowed
from drq_spark.tokenizer.one_or_many import one_or_many
from drq_spark.tokenizer.reconstruction_sums import ReconstructionSums, sums_in_numpy
from drq_spark.tokenizer.tensor_checks import check_network, check_tensors
from drq_spark.tokenizer.words import as_html, in_one_line
from drq_spark.tokens import DEFAULT_TOKENS, SidTokens
from drq_spark.vectors import codeword_sum, unit_rows

Normalize = Literal["none", "l2"]

MAX_BEAM = 64
MAX_NUMBER = 1e15  # of an embedding: sums of thousands of squares of it, and of its inverse, are float32 numbers


@dataclass(frozen=True, repr=False)
class Tokenizer:
    """Encoder, codebooks and decoder, never changed after training.

    >>> tokenizer = drq_spark.fit(x, levels=3, codes=256)  # doctest: +SKIP
    >>> codes = tokenizer.codes(x)  # doctest: +SKIP
    >>> tokenizer.tokens(codes)[0], tokenizer.decode(codes)  # doctest: +SKIP

    Residual quantization: z = f(x), r^1 = z, s^l = argmin_k ||W^l (r^l - c^l_k)||^2 + b^l_k, r^{l+1} = r^l - c^l_{s^l};
    with a beam the cheapest of several paths, see `drq_spark.tokenizer.beam`. Reconstruction z_q = sum_l t^l_{s^l},
    x_hat = g(z_q).

    Attributes:
        kind: Name of the trainer.
        dim: D.
        normalize: What happens to x first ("l2": x / ||x||).
        codebooks: One float32 [K_l, d] per level.
        prices: One float32 [K_l] per level, or None (b = 0).
        weights: diagonal of W, one float32 [d] per level, or None (ones).
        beam: Paths kept while encoding, 1 = greedy.
        tables: Decode tables t, one float32 [K_l, d] per level, or None (the codebooks themselves).
        encoder, decoder: f and g, or None for the identity.
        latent_rms: Per level, RMS of the latents per effective coordinate of W^l z: sqrt(tr S^2 / tr S) with S their
            covariance over the training sample. It is the unit of sigma in every capacity figure.
        training: Settings, sample fingerprint, seed, library versions, metrics; plain JSON values.
    """

    kind: str
    dim: int
    normalize: Normalize
    codebooks: tuple[F32, ...]
    latent_rms: tuple[float, ...]
    prices: tuple[F32, ...] | None = None
    weights: tuple[F32, ...] | None = None
    beam: int = 1
    tables: tuple[F32, ...] | None = None
    encoder: Encoder | None = None
    decoder: Decoder | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.normalize not in get_args(Normalize):
            raise ValueError(f"normalize must be one of {get_args(Normalize)}, not {self.normalize!r}")
        if not self.codebooks or any(book.ndim != 2 for book in self.codebooks):
            raise ValueError("codebooks must be one matrix per level")
        check_codebook_sizes(self.codebook_sizes)
        shapes = [(size, self.latent_dim) for size in self.codebook_sizes]
        check_tensors("codebook", self.codebooks, shapes)
        if self.prices is not None:
            check_tensors("price", self.prices, [(size,) for size in self.codebook_sizes])
        if self.weights is not None:
            check_tensors("weight", self.weights, [(self.latent_dim,)] * self.levels)
        if self.tables is not None:
            check_tensors("table", self.tables, shapes)
        if len(self.latent_rms) != self.levels or not all(np.isfinite(rms) and rms >= 0 for rms in self.latent_rms):
            raise ValueError(f"latent_rms must be one number from 0 per level, not {self.latent_rms!r}")
        if not 1 <= self.beam <= MAX_BEAM:
            raise ValueError(f"beam must be 1 to {MAX_BEAM}, not {self.beam!r}")
        check_network("encoder", self.encoder, self.dim, self.latent_dim)
        check_network("decoder", self.decoder, self.latent_dim, self.dim)

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
        none = (None,) * self.levels
        parts = zip(self.codebooks, self.prices or none, self.weights or none, strict=True)
        return tuple(Level.prepare(book, price, weight) for book, price, weight in parts)

    @cached_property
    def _searches(self) -> Searches:
        return Searches(self._prepared, self.beam)

    def weighed(self, z: F64) -> F64:
        """W^L z, float64 [n, d]: the metric in which what is left of a latent is measured."""
        return z if self.weights is None else z * self.weights[-1]

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
        return x if self.encoder is None else narrowed(self.encoder(x))

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> Tokenizer:
        """`artifact.load_tokenizer`: of an artifact, or of the folder of a run that has one tokenizer."""
        from drq_spark.tokenizer.artifact import load_tokenizer

        return load_tokenizer(folder)

    def save(self, root: str | PathLike[str]) -> str:
        """`artifact.save_tokenizer`: into the folder `root`/<tokenizer_id>, which it returns."""
        from drq_spark.tokenizer.artifact import save_tokenizer

        return save_tokenizer(self, root)

    def __repr__(self) -> str:
        return in_one_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def encode(self, x: ArrayLike) -> Encoding:
        """SIDs of raw rows x [n, D], with what is known about each.

        Of one vector [D] codes, margin and residual_square come without their first axis.

        Raises:
            ValueError: see `prepare_input`.
        """
        rows, one = one_or_many(x, "embeddings")
        found = self.encode_prepared(self.prepare_input(rows))[1]
        names = ("codes", "margin", "residual_square") if one else ()
        return replace(found, **{name: getattr(found, name)[0] for name in names})

    def encode_prepared(self, x: F32) -> tuple[F32, Encoding]:
        """Latents float32 [n, d] and SIDs of prepared rows x: the same SIDs under every BLAS, processor and batch.

        A BLAS adds up in an order of its own, which can move a latent by a unit of its last digit. Where that could
        change the SID (a row in some millions), the latent is that of `network.FIXED`.
        """
        if self.encoder is None:
            return x, self.encode_latent(x)
        value, error = self.encoder.bounded(x)
        z = narrowed(value)
        found = self.encode_latent(z, reach=True)
        unsure = np.flatnonzero(~(found.reach > self._widest_move(narrowed(value + error) - narrowed(value - error))))
        if len(unsure):
            z[unsure] = narrowed(self.encoder(x[unsure], FIXED))
            again = self.encode_latent(z[unsure], reach=True)
            for name in ("codes", "margin", "residual_square", "reach"):
                getattr(found, name)[unsure] = getattr(again, name)
        return z, found

    def _widest_move(self, moves: F32) -> F64:
        """The largest ||W^l delta|| of all levels, float64 [n], of rows delta; below 0 where they do not move."""
        square = np.square(moves.astype(np.float64))
        weights = self.weights or (np.ones(self.latent_dim, np.float32),)
        widest = np.max([square @ np.square(weight.astype(np.float64)) for weight in weights], axis=0)
        return np.where(square.any(axis=1), np.sqrt(widest) * (1 + 1e-6), -np.inf)

    def encode_latent(self, z: F32, *, reach: bool = False) -> Encoding:
        """SIDs of latents z, float32 [n, d], finite; `reach`: whether `Encoding.reach` is asked for."""
        return self._searches.encode(z, reach=reach)

    def codes(self, x: ArrayLike) -> I32:
        """The codes of `encode` alone, int32 [n, L], for less; [L] of one vector [D].

        Raises:
            ValueError: see `prepare_input`.
        """
        rows, one = one_or_many(x, "embeddings")
        prepared = self.prepare_input(rows)
        codes = self.codes_of_latent(prepared) if self.encoder is None else self.encode_prepared(prepared)[1].codes
        return codes[0] if one else codes

    def codes_of_latent(self, z: F32) -> I32:
        """The codes of `encode_latent` alone, int32 [n, L]."""
        return self._searches.codes(z)

    def paths(self, z: F32, keep: int) -> Paths:
        """The `keep` cheapest SIDs of each latent (float32 [n, d], finite) that the beam reaches, with their costs."""
        return search(z.astype(np.float64), self._prepared, self.beam, keep)

    def decode_latent(self, codes: NDArray[np.integer]) -> F64:
        """z_q = sum_l t^l_{s^l}, float64 [n, d]: a function of the SID alone.

        Raises:
            ValueError: codes that are not [n, L] or out of range.
        """
        codes_to_keys(codes, self.codebook_sizes)  # refuses what numpy would wrap around
        return codeword_sum(self._tables64, codes)

    def decode(self, codes: ArrayLike) -> F64:
        """x_hat = g(z_q), float64 [n, D] of codes [n, L]; [D] of one SID [L].

        Raises:
            ValueError: see `decode_latent`.
        """
        rows, one = one_or_many(codes, "codes")
        latent = self.decode_latent(rows)
        decoded = latent if self.decoder is None else self.decoder(latent)
        return decoded[0] if one else decoded

    def reconstruction_sums(self, x: F32, z: F32, codes: I32, anchor: tuple[F64, F64]) -> ReconstructionSums:
        """What prepared rows x with latents z and valid codes add to fidelity figures; anchor: that of `anchor`."""
        if self.encoder is None and self.decoder is None and self.weights is None:
            sums = self._searches.reconstruction_sums(x, self.tables or self.codebooks, codes, anchor[0])
            if sums is not None:
                return sums
        return sums_in_numpy(x, z, self.decode(codes), anchor, self.weighed)

    def anchor(self) -> tuple[F64, F64]:
        """A point near the mean of x [D] and one near the mean of z [d], about which sums of squares lose no digits."""
        latent = sum((table.mean(axis=0) for table in self._tables64), np.zeros(self.latent_dim))
        return (latent if self.decoder is None else self.decoder(latent[None])[0]), latent

    def keys(self, codes: NDArray[np.integer]) -> NDArray[np.int64]:
        """Mixed-radix keys int64 [n] of codes [n, L]."""
        return codes_to_keys(codes, self.codebook_sizes)

    def tokens(self, codes: ArrayLike, spelling: SidTokens = DEFAULT_TOKENS) -> str | list[str]:
        """A text such as `<a_12><b_3><c_7>` for each SID of codes [n, L]; one text of one SID [L].

        Raises:
            ValueError: codes that are none of this tokenizer.
        """
        rows, one = one_or_many(codes, "codes")
        codes_to_keys(rows, self.codebook_sizes)
        texts = spelling.texts(rows)
        return texts[0] if one else texts

    def codes_of(self, tokens: str | Sequence[str], spelling: SidTokens = DEFAULT_TOKENS) -> I32:
        """Codes int32 [n, L] of token texts, [L] of one; the inverse of `tokens`, which passes over suffix tokens.

        Raises:
            ValueError: a text that is no SID of this tokenizer.
        """
        one = isinstance(tokens, str)
        codes, _ = spelling.parse([tokens] if isinstance(tokens, str) else tokens, self.levels)
        codes_to_keys(codes, self.codebook_sizes)
        return codes[0] if one else codes


def normalized(x: NDArray[np.floating], normalize: Normalize) -> F32:
    """float32 rows, divided by their norms (taken in float64) for "l2"; rows of norm zero must be gone by then."""
    if normalize == "none":
        return x.astype(np.float32, copy=False)
    return unit_rows(x).astype(np.float32)
