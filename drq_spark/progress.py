"""What a person watching a run is told; the command line draws it, notebooks and tests may do without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Is told how far a stage of a step has come."""

    def __call__(self, stage: str, done: int, total: int, **figures: float) -> None:
        """`stage` has finished step `done` of `total`; `figures` are the latest values by name."""


class Watcher(Protocol):
    """Follows a run step by step."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """A context that is entered when a step begins and left when it ends, well or not."""

    def heading(self, text: str) -> None:
        """Tell what the next steps belong to, where there is more than one run."""

    def note(self, text: str) -> None:
        """Tell one line about what the current step found."""

    def progress(self, stage: str, done: int, total: int, **figures: float) -> None:
        """Tell the progress inside the current step, as a `Progress` does."""


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
