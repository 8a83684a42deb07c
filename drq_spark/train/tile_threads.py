"""Tiles of rows by several threads, each tile by one of them and their results in order: how many there are decides
no bits.

A library that splits every product among threads joins them a thousand times a second, and those that wait do so awake:
beside other work on two cores a fit took three times as long with two threads of OpenBLAS as with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Barrier
from typing import TypeVar

import torch

from drq_spark.idle_threads import products_by_one_thread

Result = TypeVar("Result")
_POOL: ContextVar[ThreadPoolExecutor | None] = ContextVar("_POOL", default=None)


@contextmanager
def tile_threads(count: int) -> Iterator[None]:
    """Inside, `in_tiles` takes `count` >= 1 threads, and numpy's products take one each."""
    with products_by_one_thread(), ThreadPoolExecutor(count) as pool:
        before, started = torch.get_num_threads(), Barrier(count)
        list(pool.map(_start, [started] * count))
        torch.set_num_threads(before)  # the threads' own number is also what torch gives threads that are still to come
        token = _POOL.set(pool)
        try:
            yield
        finally:
            _POOL.reset(token)


def _start(started: Barrier) -> None:
    """Give a thread of the pool one thread of torch; the barrier sees to it that each has its turn."""
    torch.get_num_threads()  # a new thread takes torch's common number when it first asks, whatever it was told before
    torch.set_num_threads(1)
    started.wait()


def in_tiles(work: Callable[[slice], Result], tiles: Iterable[slice], device: torch.device) -> Iterator[Result]:
    """What `work` gives for each tile of rows on a device, in order; on a GPU one after the other.

    What is long should be written where the caller wants it: results that stay between the scores of tiles keep malloc
    from giving a thread the same memory again, and a fit on 500,000 rows took .3 GB more.
    """
    pool = _POOL.get()
    return map(work, tiles) if pool is None or device.type != "cpu" else pool.map(work, tiles)
