"""What the estimator and its model have in common: the columns that `transform` reads and adds."""

from __future__ import annotations

from typing import get_args

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol

from drq_spark.errors import ConfigError
from drq_spark.number_types import NumberType
from drq_spark.tokens import DEFAULT_TOKENS, SidTokens


class SidColumns(HasInputCol, HasOutputCol):
    """Params of the columns."""

    inputCol: Param[str] = Param(
        Params._dummy(),
        "inputCol",
        "embeddings: an ml Vector, a list of float, double, decimal or half float, or binary",
        typeConverter=TypeConverters.toString,
    )
    outputCol: Param[str] = Param(
        Params._dummy(),
        "outputCol",
        "the codes that are added, array<int>; NULL for rows without a usable embedding",
        typeConverter=TypeConverters.toString,
    )
    tokensCol: Param[str] = Param(
        Params._dummy(),
        "tokensCol",
        "the SID as text that is added, such as <a_12><b_3><c_7>; empty adds none",
        typeConverter=TypeConverters.toString,
    )
    tokenTemplate: Param[str] = Param(
        Params._dummy(),
        "tokenTemplate",
        "a token of the first level, with {} for its code: see drq_spark.SidTokens",
        typeConverter=TypeConverters.toString,
    )
    numberType: Param[str] = Param(
        Params._dummy(),
        "numberType",
        f"numbers of a binary inputCol: {', '.join(get_args(NumberType))}; empty takes float32 where the bytes show it",
        typeConverter=TypeConverters.toString,
    )

    def _set_column_defaults(self) -> None:
        self._setDefault(
            inputCol="embedding",
            outputCol="sid",
            tokensCol="sid_tokens",
            tokenTemplate=DEFAULT_TOKENS.template,
            numberType="",
        )

    def getTokensCol(self) -> str:
        """`tokensCol`, or its default."""
        return self.getOrDefault(self.tokensCol)

    def getTokenTemplate(self) -> str:
        """`tokenTemplate`, or its default."""
        return self.getOrDefault(self.tokenTemplate)

    def getNumberType(self) -> str:
        """`numberType`, or its default."""
        return self.getOrDefault(self.numberType)

    def _spelling(self) -> SidTokens:
        """How tokens are spelled.

        Raises:
            ConfigError: by a template that cannot be read back.
        """
        try:
            return SidTokens(self.getTokenTemplate())
        except ValueError as error:
            raise ConfigError(f"tokenTemplate: {error}") from None
