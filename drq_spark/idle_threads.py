"""What threads of OpenMP do while they have nothing to do: they sleep."""

from __future__ import annotations

import os


def let_idle_threads_sleep() -> None:
    """Set OMP_WAIT_POLICY for the libraries that this process has not loaded yet, where nobody else has set it.

    By default an idle thread spins for a while, and torch has a set of threads for the way forward and another for the
    way back. Where the cores have other work, or are as many as one set, the spinning takes them from the threads that
    compute: two threads on two cores took twice the processor time of one, and longer.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
