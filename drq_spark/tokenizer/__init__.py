"""The frozen tokenizer: its value, its files, its codes. numpy only; nothing here trains or knows Spark."""

from drq_spark.tokenizer.encoding import Encoding
from drq_spark.tokenizer.model import Tokenizer

__all__ = ["Encoding", "Tokenizer"]
