"""A file or folder that is there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from drq_spark.errors import ConfigError
from drq_spark.files import ensure_folder, exists, is_folder, move, moves_folders, remove_empty_folder, remove_folder

MARK = "_export.json"
"""The file in the folder of an export that says what it is; it is written last."""


@dataclass(frozen=True)
class Output:
    """Where an export is written.

    Attributes:
        target: Where it will be found.
        result: Where it is written meanwhile, a file or folder that is not there yet.
        scratch: A folder for what is needed only on the way.
    """

    target: str
    result: str
    scratch: str


@contextmanager
def whole_output(target: str, *, overwrite: bool) -> Iterator[Output]:
    """A place beside the target that takes its name when the work inside has ended well, and goes where it has not.

    On an object store, which cannot rename a folder, the target itself is written, and `MARK` says that it is whole.

    Args:
        target: Absolute path or URI.
        overwrite: Whether an earlier export or file there is replaced.

    Raises:
        ConfigError: something is there and `overwrite` is not set, or it is a folder that no export has made.
    """
    _refuse_what_is_there(target, overwrite=overwrite)
    folder, _, name = target.rpartition("/")
    work = f"{folder}/.{name}.{uuid4().hex}"
    renames = moves_folders(target)
    missing = _missing_folders(folder) if renames else []
    try:
        if not renames:
            remove_folder(target)
        ensure_folder(work)
        yield Output(target, f"{work}/whole" if renames else target, f"{work}/scratch")
        if renames:
            if exists(target):
                move(target, f"{work}/before")
            move(f"{work}/whole", target)
    finally:
        remove_folder(work)
        for above in missing:  # made here, and empty where the work has failed
            remove_empty_folder(above)


def _missing_folders(folder: str) -> list[str]:
    """A folder and those above it that are not there yet, the innermost first."""
    missing = []
    while folder and not folder.endswith("/") and not exists(folder):  # file:// is a scheme and no folder
        missing.append(folder)
        folder = folder.rpartition("/")[0]
    return missing


def _refuse_what_is_there(target: str, *, overwrite: bool) -> None:
    if not exists(target):
        return
    if not overwrite:
        raise ConfigError(f"--to {target} is there already: choose another place, or replace it with --overwrite")
    if is_folder(target) and not exists(f"{target}/{MARK}"):
        raise ConfigError(
            f"--to {target} is a folder that no whole export has left (it holds no {MARK}), and --overwrite would "
            "delete it: choose another place, or delete it yourself"
        )
