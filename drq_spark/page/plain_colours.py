"""Charts outside of a page: their placeholders become the colours that the page has by day."""

from __future__ import annotations

import re
from importlib.resources import files

from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from drq_spark.page.palette import level_colours
from drq_spark.page.svg import MAX_LEVELS, colour

_PARTS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def in_plain_colours(drawn: Axes, levels: int) -> Axes:
    """The same axes with colours that any program can show, on paper."""
    colours = _by_day(levels)
    figure = drawn.get_figure(root=True)
    assert figure is not None  # it was drawn on one
    for artist in figure.findobj():
        for part in _PARTS:
            shown = getattr(artist, f"get_{part}", lambda: None)()
            if isinstance(shown, str | tuple) and (known := colours.get(_hex(shown))):
                getattr(artist, f"set_{part}")(known)
    drawn.tick_params(which="both", labelcolor=colours[colour("muted")])
    figure.patch.set(visible=True, facecolor=colours[colour("paper")])
    return drawn


def _hex(shown: object) -> str:
    try:
        return to_hex(shown)  # type: ignore[arg-type]
    except ValueError:  # such as "auto"
        return ""


def _by_day(levels: int) -> dict[str, str]:
    """Placeholder -> colour, read from the style sheet of the pages."""
    sheet = (files("drq_spark.page") / "templates" / "style.css.j2").read_text(encoding="utf-8")
    by_day = sheet[: sheet.index("prefers-color-scheme")]
    named = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", by_day))
    ramp = {f"level-{level}": light for level, (light, _) in enumerate(level_colours(min(levels, MAX_LEVELS)), 1)}
    known = ("ink", "muted", "line", "surface", "paper", "effective", "close", "uneven", "exposure")
    return {colour(name): named[name] for name in known} | {colour(name): light for name, light in ramp.items()}
