"""The template engine of the pages: everything from outside is escaped, a missing value is an error."""

from __future__ import annotations

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@cache  # with its templates, which take a third of a second to compile
def environment(package: str) -> Environment:
    """The templates of a package, and those that all pages share, which lie in `page/templates`."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("drq_spark.page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
