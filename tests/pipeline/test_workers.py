"""Python workers: killed, reused, one thread each; and without a driver in the same process (Spark Connect)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline.catalogues import plain, write
from pipeline.direct import ready_tokenizer

from drq_spark.config import load_config
from drq_spark.tokenizer.artifact import save_tokenizer, tokenizer_id
from drq_spark.train.driver import train_tokenizer

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

CLASSIC = """
import sys
from pathlib import Path
from drq_spark.session import local_session
spark = local_session(master="local[2,3]", memory="1g", shuffle_partitions=2, scratch=Path(sys.argv[3]) / "spark")
"""

ASSIGN = """
import json, os, signal, sys
from drq_spark.assign import assignment as steps
from drq_spark.config import load_config
from drq_spark.inputs.items import read_catalogue
from drq_spark.staging import Staging
from drq_spark.tokenizer.artifact import load_tokenizer

items, folder, scratch = sys.argv[1:4]
tokenizer = load_tokenizer(folder)
config = load_config(options={"items.path": items, "sample.size": 100, "tokenizer.codes": 6})

def assigned(name):
    catalogue = read_catalogue(spark, config)
    rows = steps.assign_items(catalogue, tokenizer, Staging(f"{scratch}/{name}")).rows
    return {row.item_id: [row.codes, row.margin] for row in rows.collect()}
"""

KILLED = """
plain_codes, inner = assigned("plain"), steps.assigner

def deadly(shipped):
    work = inner(shipped)
    def assign(batches):
        from pyspark import TaskContext
        first = TaskContext.get().attemptNumber() == 0
        for batch in work(batches):
            yield batch
            if first:
                open(f"{scratch}/killed-{os.getpid()}", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
    return assign

steps.assigner = deadly
killed_codes = assigned("killed")

def report(shipped):
    def look(batches):
        import pyarrow as pa
        for batch in batches:
            row = [[str(os.getpid())], [str(id(shipped.value()))], [os.environ.get("OMP_NUM_THREADS", "")]]
            yield pa.RecordBatch.from_arrays([pa.array(column) for column in row], names=["pid", "object", "threads"])
    return look

seen = []
for _ in range(2):
    shipped = steps.ship(spark, tokenizer)
    df = spark.range(0, 12, 1, 12).mapInArrow(report(shipped), "pid string, object string, threads string")
    seen += [list(row) for row in df.collect()]
print(json.dumps({"plain": plain_codes, "killed": killed_codes, "workers": seen}))
spark.stop()
"""

CONNECT = """
from drq_spark.sample.draw import draw_sample
from drq_spark.sample.load import load_sample
sample = load_sample(draw_sample(read_catalogue(spark, config), config, Staging(f"{scratch}/sample")), tokenizer.dim)
said = {"codes": assigned("connect"), "sample": sample.fingerprint}
"""

STAGES = """
from pyspark.ml import Pipeline, PipelineModel
from drq_spark.ml import SemanticIdEstimator, SemanticIdModel
from drq_spark.tokenizer.artifact import tokenizer_id
rows = spark.read.parquet(items)
estimator = SemanticIdEstimator(tokenizer="rq_kmeans", codebookSize=6, sampleSize=100, settings=["train.threads=1"])
estimator.write().overwrite().save(f"{scratch}/estimator")
estimator = SemanticIdEstimator.load(f"{scratch}/estimator")
fitted = Pipeline(stages=[estimator]).fit(rows)
for _ in range(2):
    fitted.write().overwrite().save(f"{scratch}/pipeline")
model = PipelineModel.load(f"{scratch}/pipeline").stages[0]
said["trained"] = tokenizer_id(model.tokenizer)
given = SemanticIdModel(tokenizer)
given.write().overwrite().save(f"{scratch}/model")
encoded = SemanticIdModel.load(f"{scratch}/model").transform(rows).collect()
said["stage"] = {row.item_id: [row.sid, row.sid_tokens] for row in encoded}
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Rows, their folder of several files, and a saved tokenizer."""
    base, rows = tmp_path_factory.mktemp("ready"), plain(300, 8)
    folder = save_tokenizer(ready_tokenizer(rows.matrix()), str(base / "tokenizers"))
    return rows, write(rows, base / "items", 6), folder


def expected(rows):
    """id -> codes and margins, by the tokenizer alone."""
    encoded = ready_tokenizer(rows.matrix()).encode(rows.matrix())
    pairs = zip(encoded.codes.tolist(), encoded.margin.tolist(), strict=True)
    return dict(zip(rows.ids, map(list, pairs), strict=True))


@pytest.fixture(scope="module")
def classic(ready, tmp_path_factory):
    """What the script says whose workers are killed once."""
    scratch = tmp_path_factory.mktemp("classic")
    command = [sys.executable, "-c", CLASSIC + ASSIGN + KILLED, ready[1], ready[2], str(scratch)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    reply = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert reply.returncode == 0, reply.stderr[-4000:]
    return json.loads(reply.stdout), scratch


class TestKilledWorkers:
    def test_codes_are_the_same_after_workers_were_killed_in_mid_task(self, ready, classic):
        said, scratch = classic
        assert list(scratch.glob("killed-*"))
        assert said["killed"] == said["plain"] == expected(ready[0])


class TestReusedWorkers:
    def test_a_worker_holds_one_tokenizer_for_all_tasks_and_jobs(self, classic):
        workers = classic[0]["workers"]
        assert len(workers) == 24
        held = {}
        for pid, identity, _ in workers:
            held.setdefault(pid, set()).add(identity)
        assert len(held) < 24
        assert all(len(objects) == 1 for objects in held.values())

    def test_numpy_has_one_thread(self, classic):
        assert {threads for _, _, threads in classic[0]["workers"]} == {"1"}


class TestConnect:
    def test_sample_and_codes_are_those_of_an_ordinary_session(self, ready, run_connect, spark, tmp_path):
        from pipeline.direct import config

        from drq_spark.inputs.items import read_catalogue
        from drq_spark.sample.draw import draw_sample
        from drq_spark.sample.load import load_sample
        from drq_spark.staging import Staging

        rows, items, folder = ready
        script = f"import sys; sys.argv[1:] = {[items, folder, str(tmp_path)]!r}" + ASSIGN + CONNECT
        script += STAGES + "print(json.dumps(said))"
        said = json.loads(run_connect(script).splitlines()[-1])
        assert said["codes"] == expected(rows)
        settings = config(items, "sample.size=100")
        drawn = draw_sample(read_catalogue(spark, settings), settings, Staging(str(tmp_path / "here")))
        sample = load_sample(drawn, 8)
        assert said["sample"] == sample.fingerprint
        tokenizer = ready_tokenizer(rows.matrix())
        codes = tokenizer.codes(rows.matrix())
        told = zip(codes.tolist(), tokenizer.tokens(codes), strict=True)
        assert said["stage"] == dict(zip(rows.ids, map(list, told), strict=True))
        shape = {"tokenizer.name": "rq_kmeans", "tokenizer.codes": 6, "train.threads": 1}
        assert said["trained"] == tokenizer_id(train_tokenizer(sample, load_config(options=shape)))
