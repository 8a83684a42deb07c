"""How a value reaches the Python workers: the only place that knows Classic from Connect. Executors run it too."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from drq_spark import __version__
from drq_spark.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")

_PICKLE_PROTOCOL = 5  # arrays go into the hash as they lie in memory, without a copy
_KEPT = 2
_workers_own: OrderedDict[str, Any] = OrderedDict()  # a worker process serves many tasks


class Shipped(Generic[T]):
    """A value inside a Python function; `value()` gives the same object for all tasks of one worker process.

    A worker knows the value by a hash of its content, so that it never takes an older value for this one, and need not
    load the same one again for another job.

    Args:
        value: What is shipped.
        broadcast: The broadcast variable that holds it; without one it travels inside this object.
    """

    def __init__(self, value: T, broadcast: Any = None) -> None:
        self._digest, self._version = _digest(value), __version__
        self._broadcast, self._carried = broadcast, value if broadcast is None else None

    def value(self) -> T:
        """What was shipped, on an executor.

        Raises:
            SetupError: the executor runs another version of drq_spark than the driver.
        """
        if self._version != __version__:
            raise SetupError(
                f"the driver runs drq_spark {self._version}, this executor {__version__}: ship one version to both"
            )
        if self._digest not in _workers_own:
            _workers_own[self._digest] = self._carried if self._broadcast is None else self._broadcast.value
            while len(_workers_own) > _KEPT:
                _workers_own.popitem(last=False)
        kept: T = _workers_own[self._digest]
        return kept


def ship(spark: SparkSession, value: T) -> Shipped[T]:
    """Make a value that can be pickled usable inside mapInArrow and UDFs of a session.

    Classic Spark broadcasts it: one copy a node, loaded once a worker. Spark Connect has no broadcast: there it travels
    in the plan.
    """
    from pyspark.sql.utils import is_remote  # drivers only: executors unpickle `Shipped` without it

    return Shipped(value) if is_remote() else Shipped(value, spark.sparkContext.broadcast(value))


class _Hash:
    """A file that keeps nothing but the hash of what is written to it."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def write(self, part: bytes | memoryview | pickle.PickleBuffer) -> int:
        """Take in the next bytes; those of a large array come as they lie in memory."""
        self._hash.update(part)
        return memoryview(part).nbytes

    def hexdigest(self) -> str:
        """The hash of all that has been written."""
        return self._hash.hexdigest()


def _digest(value: object) -> str:
    """Hash of a pickled value; the bytes are not kept, for a tokenizer may have hundreds of megabytes of them.

    Values with the same digest are equal when they are unpickled. Two that are equal may have different digests (what
    refers to one object twice is pickled otherwise than what refers to two equal ones): that costs a worker one more
    copy, and nothing else.
    """
    written = _Hash()
    pickle.Pickler(written, _PICKLE_PROTOCOL).dump(value)
    return written.hexdigest()
