"""Where this package keeps what it makes or fetches once per user and machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """DRQ_CACHE, else `drq_spark` in the user's cache folder.

    Raises:
        RuntimeError: the user has no home.
    """
    given = os.environ.get("DRQ_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "drq_spark")
