"""Spark ML: semantic IDs as a stage of a `pyspark.ml.Pipeline`.

>>> from drq_spark.ml import SemanticIdEstimator  # doctest: +SKIP
>>> model = SemanticIdEstimator(inputCol="embedding", itemCol="item_id").fit(items)  # doctest: +SKIP
>>> model.transform(items).select("item_id", "sid", "sid_tokens")  # doctest: +SKIP
"""

from drq_spark.ml.semantic_id_estimator import SemanticIdEstimator
from drq_spark.ml.semantic_id_model import SemanticIdModel

__all__ = ["SemanticIdEstimator", "SemanticIdModel"]
