"""RQ-KMeans: residual k-means on the embeddings themselves (z = x), the paper's plain baseline fitted well."""

from __future__ import annotations

from drq_spark.config import Config
from drq_spark.progress import Progress
from drq_spark.tokenizer import Tokenizer
from drq_spark.train.contract import TrainingData
from drq_spark.train.latents import Latents
from drq_spark.train.memory import books_bytes, prepared_bytes
from drq_spark.train.residual import quantized


class RqKMeans:
    """Trainer of `rq_kmeans`; see `drq_spark.train.contract.Trainer`."""

    def memory_bytes(self, rows: int, dim: int, config: Config) -> int:
        """Bytes of the prepared sample and of what the books need."""
        return prepared_bytes(rows, dim) + books_bytes(rows, dim, config)

    def fit(self, data: TrainingData, config: Config, progress: Progress) -> Tokenizer:
        """Fit books to x and refit the decode tables."""
        return quantized(data, Latents(data.prepared), config, progress).tokenizer
