"""RQ-KMeans: residual k-means on the embeddings themselves (z = x), the paper's plain baseline fitted well."""

from __future__ import annotations

from drq_spark.config import Config
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.model import effective_rms
from drq_spark.train.contract import Progress, TrainingData
from drq_spark.train.memory import books_bytes, prepared_bytes
from drq_spark.train.residual import fit_books
from drq_spark.train.tables import refit_tables


class RqKMeans:
    """Trainer of `rq_kmeans`; see `drq_spark.train.contract.Trainer`."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """The prepared sample and what the books need."""
        return prepared_bytes(rows, dim) + books_bytes(rows, dim, config)

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Fit books to x and refit the decode tables."""
        books = fit_books(data.fit, data.held_out, config, progress)
        return Tokenizer(
            kind="rq_kmeans",
            dim=data.fit.shape[1],
            normalize=config.items.normalize,
            codebooks=books.codebooks,
            tables=refit_tables(data.fit, books.codes, books.codebooks),
            latent_rms=effective_rms(data.prepared),
            training={"levels": books.described()},
        )
