"""How a value reaches the Python workers: the only place that knows Classic from Connect. Runs on executors too."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from drq_spark import __version__
from drq_spark.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

T = TypeVar("T")

_KEPT = 2
_workers_own: OrderedDict[str, Any] = OrderedDict()  # a worker process serves many tasks


class Shipped(Generic[T]):
    """Travels inside a Python function; `value()` gives the same object for all tasks of one worker process."""

    def __init__(self, identity: str, holder: Any, *, broadcast: bool) -> None:
        self._id, self._holder, self._broadcast, self._version = identity, holder, broadcast, __version__

    def value(self) -> T:
        """What was shipped, on an executor.

        Raises:
            SetupError: the executor runs another version of drq_spark than the driver.
        """
        if self._version != __version__:
            raise SetupError(
                f"the driver runs drq_spark {self._version}, this executor {__version__}: ship one version to both"
            )
        if self._id not in _workers_own:
            _workers_own[self._id] = self._holder.value if self._broadcast else self._holder
            while len(_workers_own) > _KEPT:
                _workers_own.popitem(last=False)
        kept: T = _workers_own[self._id]
        return kept


def ship(spark: SparkSession, value: T, identity: str) -> Shipped[T]:
    """Make a value that can be pickled usable inside mapInArrow and UDFs of a session.

    Classic Spark broadcasts it: one copy a node, loaded once a worker. Spark Connect has no broadcast: there it travels
    in the plan.

    Args:
        identity: differs wherever the value does, for example a hash of its content.
    """
    from pyspark.sql.utils import is_remote  # drivers only: executors unpickle `Shipped` without it

    if is_remote():
        return Shipped(identity, value, broadcast=False)
    return Shipped(identity, spark.sparkContext.broadcast(value), broadcast=True)
