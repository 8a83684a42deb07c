"""Items to search, and the tree of codes to walk through: data for the script on the page."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from drq_spark.arrays import F64
from drq_spark.page.numbers import percent
from drq_spark.report.data import Explored, ReportData

_LONGEST = 80  # characters of a name
_DIGITS = 4


def parts(data: ReportData) -> dict[str, Any]:
    """What the section shows, by the names in its template."""
    found = data.explored
    if found is None:
        return {"explorer": None, "explorer_scope": "", "script": None, "script_hash": ""}
    return {
        "explorer": _as_json(found),
        "explorer_scope": _scope(found),
        "script": Markup(_script()),
        "script_hash": b64encode(sha256(_script().encode()).digest()).decode(),
    }


def _scope(found: Explored) -> str:
    """How much of the catalogue is there, in words."""
    here = len(found.ids)
    if here == found.items:
        return f"All {here:,} items are here."
    return (
        f"Here are {here:,} of the {found.items:,} items ({percent(here / found.items)}), drawn by their SIDs without "
        "the last code: items that share a SID are here together. Shares and numbers are of these items."
    )


def _as_json(found: Explored) -> Markup:
    """The items column by column; no character in it ends the element that it stands in."""
    columns = {
        "ids": found.ids,
        "names": [None if name == item else name[:_LONGEST] for item, name in zip(found.ids, found.names, strict=True)],
        "codes": found.codes.T.tolist(),
        "margin": _rounded(found.margin),
        "exposure": _rounded(found.exposure),
    }
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))


def _rounded(values: F64 | None) -> list[float] | None:
    """Numbers to four digits, so that they take few characters."""
    return None if values is None else [float(f"{value:.{_DIGITS}g}") for value in np.asarray(values)]


@cache
def _script() -> str:
    return (files("drq_spark.report") / "templates" / "explorer.js").read_text(encoding="utf-8")
