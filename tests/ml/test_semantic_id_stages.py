"""Spark ML: the stages train and encode as a run does, inside a Pipeline, saved and loaded."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from drq_spark import SidTokens
from drq_spark.errors import ConfigError, InputRefused
from drq_spark.inputs.event_log import read_event_log
from drq_spark.inputs.events import events_of
from drq_spark.inputs.items import catalogue_of, read_catalogue
from drq_spark.ml import SemanticIdEstimator, SemanticIdModel
from drq_spark.ml.fit_staging import fit_staging
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
from drq_spark.sample.step import drawn, loaded
from drq_spark.staging import Staging
from drq_spark.tokenizer.artifact import tokenizer_id
from drq_spark.train.driver import train_tokenizer

ROWS, DIM = 120, 4
X = np.random.default_rng(3).normal(size=(ROWS, DIM)).astype(np.float32)
SETTINGS = ["train.threads=1"]
SHAPE = {"tokenizer": "rq_kmeans", "numLevels": 2, "codebookSize": [6, 4], "sampleSize": 90, "settings": SETTINGS}


@pytest.fixture(scope="module")
def items(spark, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("ml") / "items")
    rows = [(f"sku {row}", X[row].tolist(), "shown") for row in range(ROWS)] + [("none", None, "hidden")]
    spark.createDataFrame(rows, "item_id string, embedding array<float>, note string").write.parquet(path)
    return spark.read.parquet(path)


@pytest.fixture(scope="module")
def model(spark, items):
    before = set(spark.sparkContext._jsc.getPersistentRDDs())  # Delta's, where other tests have read tables
    fitted = SemanticIdEstimator(**SHAPE).fit(items)
    assert set(spark.sparkContext._jsc.getPersistentRDDs()) <= before  # nothing more stays cached
    return fitted


def test_the_model_is_that_of_a_run(spark, items, model, tmp_path):
    """The sample of a run with these settings, on a table, and the tokenizer that the driver trains on it."""
    config = SemanticIdEstimator(**SHAPE).config()
    (path,) = {file.rsplit("/", 1)[0] for file in items.inputFiles()}
    table = config.model_copy(update={"items": config.items.model_copy(update={"path": path})})
    catalogue = read_catalogue(spark, table)
    sample = load_sample(draw_sample(catalogue, table, Staging(str(tmp_path))), DIM)
    assert len(sample.x) == 90
    assert tokenizer_id(model.tokenizer) == tokenizer_id(train_tokenizer(sample, table))
    assert model.tokenizer.codebook_sizes == (6, 4)


def test_a_folder_for_staging_gives_the_same_and_is_left_empty(items, model, tmp_path):
    again = SemanticIdEstimator(**SHAPE, stagingDir=str(tmp_path)).fit(items.repartition(3))
    assert tokenizer_id(again.tokenizer) == tokenizer_id(model.tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_events_are_drawn_without_a_folder_as_with_one(spark, items, tmp_path):
    path = str(tmp_path / "events")
    rows = [(user, f"sku {(7 * user + step) % ROWS}", step) for user in range(40) for step in range(5)]
    spark.createDataFrame(rows, "user_id int, item_id string, timestamp int").write.parquet(path)
    config = SemanticIdEstimator(numLevels=2, codebookSize=6, sampleSize=90, events=path).config()
    prints = set()
    for folder in ("", str(tmp_path / "staging")):
        with fit_staging(folder) as staging:
            catalogue = catalogue_of(items, config)
            log = read_event_log(spark, config, catalogue.id_type)
            catalogue = replace(catalogue, events=events_of(log, catalogue.df, config, staging))
            sample = loaded(drawn(catalogue, config, staging), DIM)
            prints.add(sample.fingerprint)
    assert len(prints) == 1
    assert sample.exposure.sum() > 90
    assert len(sample.behaviour.pairs) + len(sample.behaviour.held_out_pairs) > 40


def test_transform_keeps_all_columns_and_adds_what_the_tokenizer_says(items, model):
    found = model.transform(items)
    assert found.columns == [*items.columns, "sid", "sid_tokens"]
    rows = {row.item_id: row for row in found.collect()}
    codes = model.tokenizer.codes(X)
    assert [rows[f"sku {row}"].sid for row in range(ROWS)] == codes.tolist()
    assert [rows[f"sku {row}"].sid_tokens for row in range(ROWS)] == SidTokens().texts(codes)
    assert (rows["none"].sid, rows["none"].sid_tokens, rows["none"].note) == (None, None, "hidden")


def test_columns_are_named_by_params(items, model):
    extra = {model.outputCol: "codes", model.tokensCol: ""}
    assert model.transform(items, extra).columns == [*items.columns, "codes"]
    assert model.getOutputCol() == "sid"
    other = model.copy({model.tokenTemplate: "<item_L0_C{}>"})
    assert other.transform(items).where("item_id = 'sku 0'").first().sid_tokens.startswith("<item_L0_C")
    assert other.tokenizer is model.tokenizer
    renamed = items.withColumnRenamed("embedding", "my.vector")
    assert model.transform(renamed, {model.inputCol: "my.vector"}).where("sid IS NOT NULL").count() == ROWS


def test_vectors_and_doubles_give_the_same_codes(items, model):
    expected = {row.item_id: row.sid for row in model.transform(items).collect()}
    usable = items.where("embedding IS NOT NULL")
    for column in (array_to_vector("embedding"), F.col("embedding").cast("array<double>")):
        found = model.transform(usable.withColumn("embedding", column))
        assert {row.item_id: row.sid for row in found.collect()} == {k: v for k, v in expected.items() if k != "none"}


def test_a_pipeline_is_fitted_saved_and_loaded(spark, items, model, tmp_path):
    numbers = items.where("embedding IS NOT NULL").select(
        "item_id", *[F.col("embedding")[place].alias(f"x{place}") for place in range(DIM)]
    )
    assembler = VectorAssembler(inputCols=[f"x{place}" for place in range(DIM)], outputCol="embedding")
    fitted = Pipeline(stages=[assembler, SemanticIdEstimator(**SHAPE)]).fit(numbers)
    path = str(tmp_path / "pipeline")
    fitted.write().overwrite().save(path)
    loaded = PipelineModel.load(path)
    assert (
        loaded.transform(numbers).orderBy("item_id").collect() == fitted.transform(numbers).orderBy("item_id").collect()
    )
    assert tokenizer_id(loaded.stages[1].tokenizer) == tokenizer_id(fitted.stages[1].tokenizer)
    assert tokenizer_id(loaded.stages[1].tokenizer) == tokenizer_id(model.tokenizer)  # what was NULL is in no sample


def test_stages_are_saved_with_uid_and_params(items, tmp_path, model):
    estimator = SemanticIdEstimator(**SHAPE, tokensCol="tokens")
    for stage, kind in ((estimator, SemanticIdEstimator), (model, SemanticIdModel)):
        path = str(tmp_path / kind.__name__)
        stage.save(path)
        with pytest.raises(Exception, match="PATH_ALREADY_EXISTS"):
            stage.save(path)
        stage.write().overwrite().save(path)
        loaded = kind.load(path)
        assert loaded.uid == stage.uid
        assert {param.name: value for param, value in loaded.extractParamMap().items()} == {
            param.name: value for param, value in stage.extractParamMap().items()
        }
    assert loaded.uid == loaded.copy().uid
    assert tokenizer_id(loaded.tokenizer) == tokenizer_id(model.tokenizer)


def test_every_param_is_explained_and_in_the_constructor():
    estimator = SemanticIdEstimator()
    named = set(inspect.signature(SemanticIdEstimator.__init__).parameters) - {"self"}
    assert {param.name for param in estimator.params} == named
    assert all(param.doc for param in estimator.params)
    assert "codebookSize: K, codes a level" in estimator.explainParams()
    assert estimator.setParams(numLevels=4).config().tokenizer.levels == 4


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"inputCol": "vec"}, InputRefused, r"no column 'vec' \(inputCol\): it has item_id, embedding, note"),
        ({"itemCol": "sku"}, InputRefused, r"no column 'sku' \(itemCol\)"),
        ({"exposureCol": "views"}, InputRefused, r"no column 'views' \(exposureCol\)"),
        ({"inputCol": "note"}, InputRefused, "embedding column 'note' is string; it must be array<float>"),
        ({"tokenizer": "rqkmeans"}, ConfigError, "did you mean 'rq_kmeans'"),
        ({"settings": ["train.foo=1"]}, ConfigError, "unknown setting 'train.foo'"),
        ({"codebookSize": 256}, InputRefused, "leaves 81 to fit 256 codes a level"),
        ({"tokenTemplate": "<x>"}, ConfigError, "tokenTemplate: token template '<x>' must have"),
    ],
)
def test_refuses_before_training(items, params, error, message):
    with pytest.raises(error, match=message):
        SemanticIdEstimator(**{**SHAPE, **params}).fit(items)


def test_refuses_to_write_over_a_column(items, model):
    with pytest.raises(ConfigError, match="column 'note' is there already"):
        model.transform(items, {model.outputCol: "note"})
    with pytest.raises(ConfigError, match="has no tokenizer"):
        SemanticIdModel().transform(items)
