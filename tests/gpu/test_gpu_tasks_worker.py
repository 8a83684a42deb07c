"""The GPU of a task, by Spark's word alone, and the same SIDs with it: torch on the processor stands in for it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyspark import TaskContext
from tokenizer.other_products import Rounded
from tokenizer.samples import behaving, full, plain, rows

from drq_spark.assign.assignment_worker import Totals, assigner
from drq_spark.errors import SetupError
from drq_spark.gpu import gpu_tasks_worker as worker
from drq_spark.gpu.gpu_tasks_worker import OnGpu, device_of_task, products_of
from drq_spark.gpu.torch_products import TorchProducts
from drq_spark.ship import Shipped
from drq_spark.tokenizer import Tokenizer
from drq_spark.tokenizer.gpu_tokenizer import GpuTokenizer

FORMS = [plain(), plain(beam=4), full(beam=3), behaving()]


@pytest.fixture
def given(monkeypatch):
    """Tells what Spark gives the tasks from now on: addresses of GPUs, or None for no such resource."""

    def give(addresses: list[str] | None) -> None:
        resources = {} if addresses is None else {"gpu": SimpleNamespace(name="gpu", addresses=addresses)}
        monkeypatch.setattr(TaskContext, "get", lambda: SimpleNamespace(resources=lambda: resources))

    return give


@pytest.fixture
def stand_in(monkeypatch):
    """Torch on the processor in the place of every GPU; the devices that were asked for."""
    asked: list[str] = []

    def products(device: str) -> TorchProducts:
        asked.append(device)
        return TorchProducts("cpu")

    monkeypatch.setattr(worker, "products_of", products)
    worker._workers_own.clear()
    yield asked
    worker._workers_own.clear()


def refusal(work, *arguments) -> str:
    with pytest.raises(SetupError) as refused:
        work(*arguments)
    told = str(refused.value)
    assert told.count("\n") == 0
    assert "assign.device=cpu" in told
    return told


def test_a_task_takes_the_first_gpu_that_it_is_given(given):
    given(["3", "1"])
    assert device_of_task() == "cuda:3"


def test_a_task_without_a_gpu_is_told_what_is_missing(given, monkeypatch):
    given(None)
    told = refusal(device_of_task)
    assert "spark.executor.resource.gpu.amount" in told
    assert "spark.task.resource.gpu.amount" in told
    given([])
    assert refusal(device_of_task) == told
    monkeypatch.setattr(TaskContext, "get", lambda: None)  # no task at all
    assert refusal(device_of_task) == told


def test_a_gpu_that_has_no_number_is_refused(given):
    given(["GPU-5f3c"])
    assert "the GPU of this task is 'GPU-5f3c': the discovery script must name GPUs by number" in refusal(
        device_of_task
    )


def test_an_executor_without_torch_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch is not installed on this executor" in refusal(products_of, "cuda:0")


def test_torch_must_see_the_gpu_of_the_task(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "and torch " + torch.__version__ + " sees 0 on this executor" in refusal(products_of, "cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert products_of("cuda:1") == TorchProducts("cuda:1")
    assert "Spark gave this task cuda:2" in refusal(products_of, "cuda:2")


def batches_of(tokenizer: Tokenizer, n: int) -> list[pa.RecordBatch]:
    """Items in two batches, one of them without an embedding."""
    x = rows(n, tokenizer.dim)
    embeddings = pa.array([None, *x[1:].tolist()], pa.list_(pa.float32()))
    columns = [pa.array(range(n)), embeddings, pa.nulls(n, pa.float64()), pa.array(range(n))]
    columns.append(pa.array([False] * n))
    whole = pa.RecordBatch.from_arrays(columns, names=["item_id", "embedding", "exposure", "embedding_hash", "wanted"])
    return [whole.slice(0, n // 3), whole.slice(n // 3)]


@pytest.mark.parametrize("tokenizer", FORMS, ids=["greedy", "beam", "encoder", "behaviour"])
def test_tasks_with_a_gpu_give_the_rows_of_tasks_without(tokenizer, given, stand_in):
    pytest.importorskip("numba")
    given(["2"])
    usual = pa.Table.from_batches(assigner(Shipped(tokenizer))(iter(batches_of(tokenizer, 90))))
    found = pa.Table.from_batches(assigner(OnGpu(Shipped(tokenizer)))(iter(batches_of(tokenizer, 90))))
    assert stand_in == ["cuda:2"]
    assert found.drop_columns("totals").equals(usual.drop_columns("totals"))
    totals = [Totals.of_vector(np.array(table["totals"][-1].as_py()), tokenizer) for table in (usual, found)]
    assert [(one.items, one.on_gpu) for one in totals] == [(89, 0), (89, 89)]
    assert totals[1].compiled == 89
    for name in ("residual_square", "margin"):
        assert getattr(totals[0], name).tolist() == getattr(totals[1], name).tolist()


def test_a_worker_keeps_a_tokenizer_for_the_tasks_of_one_gpu(given, stand_in):
    on_gpu = OnGpu(Shipped(plain()))
    given(["0"])
    first = on_gpu.value()
    assert on_gpu.value() is first
    given(["1"])
    second = on_gpu.value()
    assert second is not first
    assert OnGpu(Shipped(plain(beam=2))).value().beam == 2
    assert stand_in == ["cuda:0", "cuda:1", "cuda:1"]


def test_a_gpu_that_rounds_to_tf32_is_refused_before_a_row_is_encoded():
    pytest.importorskip("numba")
    with pytest.raises(SetupError, match=r"^the GPU does not multiply in float32, and codes would be wrong: unset"):
        GpuTokenizer.of(plain(), Rounded()).encode(rows(5))


def test_without_compiled_code_a_gpu_is_of_no_use(monkeypatch):
    stand_in = TorchProducts("cpu")
    assert "a beam above 12" in refusal(GpuTokenizer.of(plain(beam=13), stand_in).encode, rows(5))
    monkeypatch.setitem(sys.modules, "drq_spark.tokenizer.fast.fast_search", None)
    told = refusal(GpuTokenizer.of(plain(), stand_in).encode, rows(5))
    assert "numba does not work here" in told
    assert "drq-spark[executors]" in told
