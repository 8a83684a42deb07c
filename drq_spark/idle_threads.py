"""What threads of OpenMP do while they have nothing to do: they wait a moment awake, and then they sleep."""

from __future__ import annotations

import os

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
