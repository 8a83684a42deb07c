"""What the threads of numeric libraries do while they have nothing to do: they sleep, or there are none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_SPINS = "2000"  # some microseconds: longer than the gap between two steps of a sum, shorter than a turn on a core


def let_idle_threads_sleep() -> None:
    """Set how long OpenMP's threads spin, for the libraries that this process has not loaded yet; a user's word counts.

    By default they spin for milliseconds, and torch has a set of threads for the way forward and another for the way
    back. Where the cores have other work the spinning takes them from the threads that compute. A training of 5,000
    items on two cores took 17 s idle and 59 s beside two other processes by default, 26 and 38 s without any spinning,
    18 and 44 s like this.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


@contextmanager
def products_by_one_thread() -> Iterator[None]:
    """Let numpy's BLAS take the calling thread alone inside.

    OpenBLAS splits every product among as many threads as there are cores, and they wait awake for the next. The
    overlaps of 10,000 SIDs took 4.7 s on two cores with one other job like that, and 1.5 s by one thread.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
