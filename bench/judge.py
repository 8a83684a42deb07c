"""The figures that compare tokenizers: one judge for all of them, which knows only `Tokenizer`.

Neighbour recall, retention and AUC count ties in expectation, so tokenizers with many equal SIDs get no luck.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drq_spark.arrays import F32, F64, I32, I64
from drq_spark.formulas.overlap import expected_overlaps
from drq_spark.formulas.usage import perplexity
from drq_spark.sample.values import Sample
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.behaviour_auc import behaviour_auc
from drq_spark.train.evaluation import decoding_error

Figures = dict[str, float | list[float]]

_ETA = 0.5
_NEIGHBOURS, _QUERIES, _PAIRS = 20, 1500, 5000
_TIE = 1e-6  # cosines nearer than this are equal
_BLOCK = 256


class Judge:
    """The figures of tokenizers on one catalogue."""

    def __init__(self, sample: Sample) -> None:
        self.x, self.exposure = sample.x, sample.exposure
        rng = np.random.default_rng(5)
        self.queries = rng.choice(len(self.x), min(_QUERIES, len(self.x)), replace=False)
        self.pairs = np.empty((0, 2), np.int64)
        if sample.behaviour is not None and sample.split_key is not None:
            order = np.argsort(sample.split_key)
            row_of = order[np.searchsorted(sample.split_key[order], sample.behaviour.split_key)]
            self.pairs = row_of[sample.behaviour.held_out_pairs]
        self.judged = self.pairs[rng.permutation(len(self.pairs))[:_PAIRS]]

    @cached_property
    def neighbours(self) -> I64:
        """The nearest other items of each query by cosine, int64 [queries, neighbours]."""
        found = [np.argpartition(-near, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS] for _, near in self._near(self.x)]
        return np.concatenate(found)

    @cached_property
    def _raw_hits(self) -> F64:
        return self._hits(self.x)

    @cached_property
    def raw(self) -> Figures:
        """AUC and hit rates of the embeddings themselves."""
        return self._auc(self.x) | {f"hits@{k}": float(h) for k, h in zip((20, 200), self._raw_hits, strict=True)}

    def __call__(self, tokenizer: Tokenizer) -> Figures:
        """All figures of a tokenizer that was fitted to the whole catalogue; those a level are divided by K."""
        return self.of_codes(tokenizer, tokenizer.encode(self.x).codes)

    def of_codes(self, tokenizer: Tokenizer, codes: I32) -> Figures:
        """The same where items have other codes than the tokenizer gives their embeddings."""
        decoded, embedding = tokenizer.decode(codes).astype(np.float32), tokenizer.decode_latent(codes)
        counts = [np.bincount(codes[:, i], minlength=k) for i, k in enumerate(tokenizer.codebook_sizes)]
        figures: Figures = {
            "relative_mse": decoding_error(tokenizer, self.x, codes, self.x.mean(axis=0, dtype=np.float64)),
            "perplexity": [perplexity(count) / len(count) for count in counts],
            "used": [float((count > 0).mean()) for count in counts],
            "k_eff": self._capacity(tokenizer, counts),
            "unique": len(np.unique(tokenizer.keys(codes))) / len(codes),
            "recall@20": self._recall(decoded),
        }
        if self.exposure is not None:
            shown = [np.bincount(codes[:, i], self.exposure, k) for i, k in enumerate(tokenizer.codebook_sizes)]
            figures["perplexity_by_exposure"] = [perplexity(count) / len(count) for count in shown]
        if len(self.pairs):
            kept = self._hits(decoded) / self._raw_hits
            figures |= {f"retention@{k}": float(share) for k, share in zip((20, 200), kept, strict=True)}
            figures |= self._auc(embedding)
        return figures

    def _capacity(self, tokenizer: Tokenizer, counts: list[NDArray[np.int64]]) -> list[float]:
        weights = tokenizer.weights or (None,) * tokenizer.levels
        parts = zip(counts, tokenizer.codebooks, tokenizer.latent_rms, weights, strict=True)
        return [float(1 / expected_overlaps([c], b, [_ETA * rms], w)[0, 0]) / len(b) for c, b, rms, w in parts]

    def _auc(self, vectors: F32 | F64) -> Figures:
        return {f"auc_{name}": value for name, value in behaviour_auc(vectors, self.pairs, 1).items()}

    def _near(self, vectors: F32, queries: I64 | None = None) -> Iterator[tuple[slice, F32]]:
        """Cosines float32 [block, n] of blocks of queries with all items, -inf with the query itself."""
        asked = self.queries if queries is None else queries
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        for start in range(0, len(asked), _BLOCK):
            block = asked[start : start + _BLOCK]
            near = unit[block] @ unit.T
            near[np.arange(len(block)), block] = -np.inf
            yield slice(start, start + len(block)), near

    def _recall(self, decoded: F32) -> float:
        """Share of the true neighbours among the nearest of the decoded items."""
        found = 0.0
        for block, near in self._near(decoded):
            last = -np.partition(-near, _NEIGHBOURS - 1, axis=1)[:, _NEIGHBOURS - 1, None]
            above, tie = near > last + _TIE, np.abs(near - last) <= _TIE
            weight = above + tie * (_NEIGHBOURS - above.sum(axis=1, keepdims=True)) / tie.sum(axis=1, keepdims=True)
            found += float(np.take_along_axis(weight, self.neighbours[block], 1).sum())
        return found / (len(self.queries) * _NEIGHBOURS)

    def _hits(self, vectors: F32) -> F64:
        """Expected hit rate at 20 and 200 of the partner among all other items."""
        hits = np.zeros(2)
        for block, near in self._near(vectors, self.judged[:, 0]):
            target = np.take_along_axis(near, self.judged[block, 1:], 1)
            better, ties = (near > target + _TIE).sum(axis=1), (np.abs(near - target) <= _TIE).sum(axis=1)
            hits += [float(((k - better) / ties).clip(0, 1).sum()) for k in (20, 200)]
        return hits / max(len(self.judged), 1)
