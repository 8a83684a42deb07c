"""The fitted stage: a tokenizer that adds SIDs to a DataFrame."""

from __future__ import annotations

from pyspark.ml.base import Model
from pyspark.ml.util import MLReadable, MLReader, MLWritable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from drq_spark.assign.sid_udf import sid_udf
from drq_spark.config import Items
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.embedding_columns import embedding_column
from drq_spark.ml.ml_files import SidWriter, read_files, set_params
from drq_spark.ml.semantic_id_params import SidColumns
from drq_spark.sid_columns import tokens_of
from drq_spark.table_names import quoted
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.artifact import artifact_files, tokenizer_of


class SemanticIdModel(Model, SidColumns, MLReadable["SemanticIdModel"], MLWritable):
    """Gives every row its SID: the same codes as a run with the same tokenizer.

    >>> SemanticIdModel(drq_spark.load_tokenizer(folder)).transform(items)  # doctest: +SKIP

    Args:
        tokenizer: As trained or loaded.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._set_column_defaults()

    @property
    def tokenizer(self) -> Tokenizer:
        """What encodes; `tokenizer.save(folder)` writes it as the artifact that every command takes."""
        if self._tokenizer is None:
            raise ConfigError("this SemanticIdModel has no tokenizer: fit a SemanticIdEstimator, or give it one")
        return self._tokenizer

    def setParams(self, **params: str) -> SemanticIdModel:
        """Set any Params by name."""
        return self._set(**params)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """The columns of `dataset`, codes and tokens; no job is started.

        Raises:
            InputRefused: no inputCol, or one of a type that embeddings cannot be of.
            ConfigError: a column that would be added is there already, or a wrong tokenTemplate or numberType.
        """
        name, tokens = self.getInputCol(), self.getTokensCol()
        check_input(dataset, name)
        added = [self.getOutputCol(), *([tokens] if tokens else [])]
        if there := [column for column in added if column in dataset.columns]:
            raise ConfigError(f"column {there[0]!r} is there already: set outputCol or tokensCol to another name")
        number_type = self.getNumberType() or None
        sid = sid_udf(self.tokenizer, "codes", number_type)  # type: ignore[arg-type]
        result = dataset.withColumn(added[0], sid(F.col(quoted(name))))
        if tokens:
            codes = F.col(quoted(added[0]))
            result = result.withColumn(tokens, tokens_of(codes, self.tokenizer.levels, self._spelling()))
        return result

    def write(self) -> SidWriter:
        """A writer of Params and tokenizer: `write().overwrite().save(path)`."""
        return SidWriter(self, artifact_files(self.tokenizer)[1])

    @classmethod
    def read(cls) -> SidReader:
        """A reader of what `write` has written: `read().load(path)`, or `load(path)`."""
        return SidReader()


class SidReader(MLReader[SemanticIdModel]):
    """Reads a `SemanticIdModel`."""

    def load(self, path: str) -> SemanticIdModel:
        """The model that was saved, with its uid; its tokenizer is verified.

        Raises:
            ArtifactRefused: the tokenizer is not as it was saved.
        """
        model = SemanticIdModel(tokenizer_of(read_files(self.sparkSession, path), path))
        set_params(model, self.sparkSession, path)
        return model


def check_input(dataset: DataFrame, name: str) -> None:
    """Refuse a DataFrame without the column of embeddings, or with one of another type; reads no row.

    Raises:
        InputRefused: it is so.
    """
    if name not in dataset.columns:
        raise InputRefused(f"the DataFrame has no column {name!r} (inputCol): it has {', '.join(dataset.columns)}")
    embedding_column(F.col(quoted(name)), dataset, Items(embedding=name), "the DataFrame")
