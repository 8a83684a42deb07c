"""Where compiled code is kept: a folder of one content, so that worker processes can share it without a lock.

Its name is a hash of what the code depends on: these modules, constants of others, numba, llvmlite, Python and the
processor. So nobody ever writes another thing under a name that somebody reads, and a home that machines of two kinds
share holds a folder for each. Numba writes a file beside and moves it to its place; two workers that compile at once
write the same twice.

Numba keeps code by the path and the content of the source file. The package may come in a zip, at another path for each
application of Spark: so the folder holds the sources, too, and numba is told that functions come from there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from drq_spark.cache_folder import cache_folder
from drq_spark.tokenizer.candidates import UNIT
from drq_spark.tokenizer.kernel import ROUNDED

_COMPLETE = "complete"


@lru_cache
def code_folder() -> Path | None:
    """The folder for this processor and these versions, made where it is not there; None where it cannot be written."""
    try:
        marks = [
            sys.version,
            version("numba"),
            version("llvmlite"),
            version("numpy"),
            _processor(),
            f"{ROUNDED} {UNIT}",
        ]
        sources = {file.name: file.read_bytes() for file in files(__package__).iterdir() if file.name.endswith(".py")}
        parts = [*(mark.encode() for mark in marks), *(sources[name] for name in sorted(sources))]
        folder = cache_folder() / "machine_code" / hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in sources.items():
            _keep(folder / name, content)
    except (OSError, RuntimeError):  # no home, or one that is not ours
        return None
    return folder if os.access(folder, os.W_OK) else None


def _keep(file: Path, content: bytes) -> None:
    """Write a file that is not there; who reads it finds all of it."""
    if not file.exists():
        beside = file.with_name(f".{file.name}.{uuid4().hex}")
        beside.write_bytes(content)
        os.replace(beside, file)


def is_complete() -> bool:
    """Whether an earlier process has left all compiled code there."""
    folder = code_folder()
    return folder is not None and (folder / _COMPLETE).exists()


def mark_complete() -> None:
    """Tell later processes that all compiled code is there."""
    folder = code_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / _COMPLETE).touch()


def _processor() -> str:
    """What the processor is and can do."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(
            sorted({line for line in lines if line.startswith(("model", "cpu family", "flags", "Features"))})
        )
    return platform.processor() or platform.machine()
