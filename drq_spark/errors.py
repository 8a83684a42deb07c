"""Every error a user can meet, by what the user can do about it.

Each message is one line: the rule, the value that broke it, what to do. The class carries the exit code of the
command line (see the README): 0 done, 2 bad arguments or config, 3 input refused, 4 gate failed, 5 overtaken by a newer
run, 6 another run is at work, 1 anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DrqError(Exception):
    """Base of all errors that drq_spark raises on purpose; `exit_code` is what the command line returns."""

    exit_code: int = 1


class ConfigError(DrqError):
    """An argument or a setting is wrong; correct the command or the config file."""

    exit_code = 2


class InputRefused(DrqError):
    """The items or events table, or a tokenizer artifact, cannot be used as it is; correct the data."""

    exit_code = 3


class ArtifactRefused(InputRefused):
    """A tokenizer folder is missing, tampered with, or of a newer format."""


class GateFailed(DrqError):
    """The figures of a finished run break a rule of the gate; data is written, readers stay where they are."""

    exit_code = 4


class Overtaken(DrqError):
    """An old run was tried again, and readers follow a newer one; data is written, readers stay where they are."""

    exit_code = 5


class Busy(DrqError):
    """Another run writes into the same place; data is as it was, try again when that run has ended."""

    exit_code = 6


class SetupError(DrqError):
    """The machine lacks something: Java, the Delta jars, a Python package."""


class TrainingFailed(DrqError):
    """Training diverged or collapsed."""


class ConsistencyError(DrqError):
    """Rows were lost or duplicated on the way: a defect, never a property of the data."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question for a message, such as "did you mean 'x'? ": the known name that is most like this one.

    Upper and lower case count as the same. The text ends in a space, and is empty where no name is alike.
    """
    folded = {other.casefold(): other for other in known}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.7)
    return f"did you mean {folded[near[0]]!r}? " if near else ""
