"""The template engine of the pages: everything from outside is escaped, a missing value is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """Templates of `report/templates`."""
    return Environment(
        loader=PackageLoader("drq_spark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
