"""The template engine of the pages: everything from outside is escaped, a missing value is an error."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from drq_spark.page.palette import level_colours


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


def page(room: str, template: str, levels: int = 0, **shown: Any) -> str:
    """The page that a template of a room makes of what is shown, with colours for so many levels."""
    drawn = environment(f"drq_spark.{room}").get_template(f"{template}.html.j2")
    return drawn.render(level_colours=level_colours(levels), **shown)
