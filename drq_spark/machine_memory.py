"""How much memory this process may use: that of the machine, or the limit of the container that it runs in."""

from __future__ import annotations

import os
from pathlib import Path

_V1_LIMIT, _V2_LIMIT = "memory.limit_in_bytes", "memory.max"
_FALLBACK = 8 * 2**30
"""Bytes, where the system tells nothing: a laptop's."""


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes: the least of the machine's memory and the limits of the control groups (v1 and v2) above this process.

    Args:
        root: Where /proc and /sys lie.
    """
    return min([_machine(), *_group_limits(root)])


def _machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not everywhere
        return _FALLBACK


def _group_limits(root: Path) -> list[int]:
    """The limits that are set; none outside of Linux.

    A container often sees its own group at the top of the mounted tree while /proc tells its name on the host: so the
    groups above the named one are looked at up to the top, and those that are not there are passed over.
    """
    limits = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("memory" if controllers else "")
        file = _V1_LIMIT if controllers else _V2_LIMIT
        inner = Path(group.lstrip("/"))
        for folder in (inner, *inner.parents):
            limits += [int(text) for text in _lines(top / folder / file) if text.isdigit()]  # "max" is no limit
    return limits


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
