"""The stage that trains: a tokenizer of a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark import keyword_only
from pyspark.ml.base import Estimator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasSeed
from pyspark.ml.util import DefaultParamsReadable, MLWritable
from pyspark.sql import DataFrame

from drq_spark.config import Config, load_config
from drq_spark.errors import InputRefused
from drq_spark.kinds import NAMES
from drq_spark.ml.distributed_fit import fit_on
from drq_spark.ml.fit_staging import fit_staging
from drq_spark.ml.ml_files import SidWriter
from drq_spark.ml.semantic_id_model import SemanticIdModel, check_input
from drq_spark.ml.semantic_id_params import SidColumns

_TEXT, _NUMBER = TypeConverters.toString, TypeConverters.toInt


def _one_or_per_level(value: Any) -> int | list[int]:
    return TypeConverters.toListInt(value) if isinstance(value, Sequence) else TypeConverters.toInt(value)


def _param(name: str, doc: str, converter: Any = _TEXT) -> Param[Any]:
    return Param(Params._dummy(), name, doc, typeConverter=converter)


class SemanticIdEstimator(
    Estimator[SemanticIdModel], SidColumns, HasSeed, DefaultParamsReadable["SemanticIdEstimator"], MLWritable
):
    """Trains a tokenizer on the items of a DataFrame, as `drq run` trains one on a table: the same artifact.

    The sample is drawn by the cluster, by hash of the ids, and alone reaches the driver, where torch trains.

    >>> estimator = SemanticIdEstimator(numLevels=3, codebookSize=256)  # doctest: +SKIP
    >>> model = Pipeline(stages=[estimator]).fit(items)  # doctest: +SKIP
    """

    itemCol = _param("itemCol", "ids of the items, text or integers; what is drawn is decided by their hash")
    exposureCol = _param("exposureCol", "how often an item is shown; empty where nothing is known")
    tokenizer = _param("tokenizer", f"kind of the tokenizer: {NAMES}")
    numLevels = _param("numLevels", "L, codes in a SID", _NUMBER)
    codebookSize = _param(
        "codebookSize", "K, codes a level: one number, or a list with one per level", _one_or_per_level
    )
    normalize = _param("normalize", "l2 divides every embedding by its norm; none leaves it")
    sampleSize = _param("sampleSize", "items that train, exactly, or all where there are fewer", _NUMBER)
    events = _param("events", "path or table of events, which some tokenizers learn from; empty for none")
    settings = _param(
        "settings", "any other settings of conf/base.yaml, a list of section.key=value", TypeConverters.toListString
    )
    stagingDir = _param(
        "stagingDir",
        "folder that every node sees, for what is drawn while fit goes on; empty lets Spark cache it",
    )

    _input_kwargs: dict[str, Any]  # what `keyword_only` keeps

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        tokensCol: str | None = None,
        tokenTemplate: str | None = None,
        numberType: str | None = None,
        itemCol: str | None = None,
        exposureCol: str | None = None,
        tokenizer: str | None = None,
        numLevels: int | None = None,
        codebookSize: int | list[int] | None = None,
        normalize: str | None = None,
        sampleSize: int | None = None,
        seed: int | None = None,
        events: str | None = None,
        settings: list[str] | None = None,
        stagingDir: str | None = None,
    ) -> None:
        super().__init__()
        self._set_column_defaults()
        known = Config()
        self._setDefault(
            itemCol=known.items.id, exposureCol="", tokenizer=known.tokenizer.name, numLevels=known.tokenizer.levels,
            codebookSize=known.tokenizer.codes, normalize=known.items.normalize, sampleSize=known.sample.size,
            seed=known.seed, events="", settings=[], stagingDir="",
        )  # fmt: skip
        self._set(**self._input_kwargs)

    def setParams(self, **params: Any) -> SemanticIdEstimator:
        """Set any Params by name."""
        return self._set(**params)

    def config(self) -> Config:
        """The settings of a run that trains the same tokenizer.

        Raises:
            ConfigError: a Param or one of `settings` has a value that it cannot have.
        """
        named = {
            "items.path": "the DataFrame",
            "items.id": self.getOrDefault(self.itemCol),
            "items.embedding": self.getInputCol(),
            "items.bytes": self.getNumberType() or None,
            "items.exposure": self.getOrDefault(self.exposureCol) or None,
            "items.normalize": self.getOrDefault(self.normalize),
            "tokenizer.name": self.getOrDefault(self.tokenizer),
            "tokenizer.levels": self.getOrDefault(self.numLevels),
            "tokenizer.codes": self.getOrDefault(self.codebookSize),
            "sample.size": self.getOrDefault(self.sampleSize),
            "events.path": self.getOrDefault(self.events) or None,
            "seed": self.getSeed(),
        }
        return load_config(options=named, settings=self.getOrDefault(self.settings))

    def _fit(self, dataset: DataFrame) -> SemanticIdModel:
        """Train.

        Raises:
            InputRefused: columns that are not there or of a type that cannot be used, or too few items.
            ConfigError, SetupError, TrainingFailed: as `train_tokenizer`.
        """
        config = self.config()
        self._spelling()
        check_input(dataset, self.getInputCol())
        for param in (self.itemCol, self.exposureCol):
            if (name := self.getOrDefault(param)) and name not in dataset.columns:
                there = ", ".join(dataset.columns)
                raise InputRefused(f"the DataFrame has no column {name!r} ({param.name}): it has {there}")
        with fit_staging(self.getOrDefault(self.stagingDir)) as staging:
            model = SemanticIdModel(fit_on(dataset, config, staging))
        model._resetUid(self.uid)
        return self._copyValues(model)

    def write(self) -> SidWriter:
        """A writer of Params: `write().overwrite().save(path)`."""
        return SidWriter(self)
