"""The GPU that Spark has given a task, and a tokenizer that encodes with it."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark import TaskContext

from drq_spark.errors import SetupError
from drq_spark.ship import Shipped
from drq_spark.tokenizer.fast.products import Multiplier
from drq_spark.tokenizer.gpu_tokenizer import GpuTokenizer
from drq_spark.tokenizer.model import Tokenizer

_OR_CPU = "or set assign.device=cpu"
_workers_own: dict[str, tuple[Tokenizer, GpuTokenizer]] = {}  # the last one, by its device: a worker serves many tasks


@dataclass(frozen=True)
class OnGpu:
    """A shipped tokenizer that each task encodes with its own GPU.

    Attributes:
        shipped: The tokenizer.
    """

    shipped: Shipped[Tokenizer]

    def value(self) -> Tokenizer:
        """The tokenizer with the GPU of this task; the same object for all tasks of a worker that have the same GPU.

        Raises:
            SetupError: the task has no GPU, torch is missing or does not see it, or versions of drq_spark differ.
        """
        tokenizer, device = self.shipped.value(), device_of_task()
        if device not in _workers_own or _workers_own[device][0] is not tokenizer:
            _workers_own.clear()
            _workers_own[device] = tokenizer, GpuTokenizer.of(tokenizer, products_of(device))
        return _workers_own[device][1]


def device_of_task() -> str:
    """Torch's name of the first GPU that Spark has given the task that runs here.

    Raises:
        SetupError: it has given none, or one that has no number.
    """
    task = TaskContext.get()
    given = task.resources().get("gpu") if task is not None else None
    if given is None or not given.addresses:
        raise SetupError(
            "assign.device is gpu, and Spark gave this task none: set spark.executor.resource.gpu.amount and "
            f"spark.task.resource.gpu.amount, and a discovery script that names the GPUs, {_OR_CPU}"
        )
    address = given.addresses[0]
    if not address.isdecimal():
        raise SetupError(
            f"assign.device is gpu, and the GPU of this task is {address!r}: the discovery script must name GPUs by "
            f"number, as nvidia-smi does, {_OR_CPU}"
        )
    return f"cuda:{address}"


def products_of(device: str) -> Multiplier:
    """What multiplies on a device, which torch must see.

    Raises:
        SetupError: torch is missing, or sees no such device.
    """
    try:
        import torch
    except ImportError:
        raise SetupError(
            "assign.device is gpu, and torch is not installed on this executor: install it there as on the driver, "
            f"{_OR_CPU}"
        ) from None
    from drq_spark.gpu.torch_products import TorchProducts

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(device.removeprefix("cuda:")) >= seen:
        raise SetupError(
            f"assign.device is gpu, Spark gave this task {device}, and torch {torch.__version__} sees {seen} on this "
            f"executor: install a build of torch with CUDA, the driver of the GPU, and hide none from it, {_OR_CPU}"
        )
    return TorchProducts(device)
