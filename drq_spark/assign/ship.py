"""How a tokenizer reaches the Python workers: the only place that knows Classic from Connect. Runs on executors too."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from drq_spark import __version__
from drq_spark.errors import SetupError
from drq_spark.tokenizer.model import Tokenizer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_KEPT = 2
_workers_own: OrderedDict[str, Tokenizer] = OrderedDict()  # a worker process serves many tasks


class Shipped:
    """Travels inside a Python function; `tokenizer()` gives the same object for all tasks of one worker process."""

    def __init__(self, tokenizer_id: str, holder: Any, *, broadcast: bool) -> None:
        self._id, self._holder, self._broadcast, self._version = tokenizer_id, holder, broadcast, __version__

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, on an executor.

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
        return _workers_own[self._id]


def ship(spark: SparkSession, tokenizer: Tokenizer, tokenizer_id: str) -> Shipped:
    """Make a tokenizer usable inside mapInArrow and UDFs of a session.

    Classic Spark broadcasts it: one copy a node, loaded once a worker. Spark Connect has no broadcast: there it travels
    in the plan.
    """
    from pyspark.sql.utils import is_remote  # drivers only: executors unpickle `Shipped` without it

    if is_remote():
        return Shipped(tokenizer_id, tokenizer, broadcast=False)
    return Shipped(tokenizer_id, spark.sparkContext.broadcast(tokenizer), broadcast=True)
