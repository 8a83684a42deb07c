"""What a person watching a run is told; the command line draws it, notebooks and tests may do without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives what a person watching should see; the command line draws it, tests record it."""

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        """`stage` has finished step `done` of `total`; `figures` are the latest values by name."""


class Watcher(Protocol):
    """Follows a run step by step."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """Entered when a step begins and left when it ends, well or not."""

    def heading(self, text: str) -> None:
        """What the next steps belong to, where there is more than one run."""

    def note(self, text: str) -> None:
        """One line about what the current step found."""

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """Progress inside the current step, a `Progress`."""


class Silent:
    """A `Watcher` that shows nothing; its `progress` is the `Progress` that shows nothing."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Nothing is shown."""
        yield

    def heading(self, text: str) -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """Nothing is shown."""


SILENT = Silent()
