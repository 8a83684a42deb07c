"""Matplotlib figures as inline SVG that takes its colours and its font from the page.

A chart is drawn with unique placeholder colours, which then become CSS variables: light and dark need one drawing.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from io import StringIO
from typing import Any

import matplotlib as mpl
import matplotlib.style
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MAX_LEVELS = 26  # as many as there are token letters
WIDTH = 340  # px at scale 1: a phone shows a chart in its natural size, so its text stays readable
TEXT = 11.0  # px

_NAMES = ("ink", "muted", "line", "surface", "paper", "effective", "close", "uneven", "exposure")
_PLACEHOLDER = {name: f"#0101{index:02x}" for index, name in enumerate(_NAMES, 1)} | {
    f"level-{level}": f"#0102{level:02x}" for level in range(1, MAX_LEVELS + 1)
}
# What HTML neither needs nor may have twice: other namespaces, a style sheet that would reach the whole page, comments.
_NOT_FOR_HTML = re.compile(
    r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->| font-family: [^;\"]*;?", re.DOTALL
)


def drawing() -> AbstractContextManager[None]:
    """Settings under which charts are drawn and saved, whatever the user's matplotlibrc says."""
    settings: dict[str, Any] = {"svg.fonttype": "none", "font.size": TEXT, "text.parse_math": False}
    return mpl.style.context(["default", settings])


def colour(name: str) -> str:
    """The placeholder that becomes `var(--name)` on the page."""
    return _PLACEHOLDER[name]


def axes(height: float, left: float, right: float = 12, top: float = 8, bottom: float = 34) -> Axes:
    """A bare pair of axes on a figure of `WIDTH` x `height` px, with margins in px."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    box = (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    result = figure.add_axes(box, facecolor="none")
    figure.patch.set_visible(False)
    for side, spine in result.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(colour("muted"))
    result.tick_params(which="both", length=0, colors=colour("muted"), labelsize=TEXT, pad=5)
    result.set_axisbelow(True)
    return result


def inline(drawn: Axes, name: str, label: str) -> Markup:
    """The figure of these axes as an `<svg role="img">` element; the same bytes for the same drawing.

    Args:
        drawn: From `axes`.
        name: Unique on the page, keeps the ids of charts apart.
        label: What a screen reader says.
    """
    buffer = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):
        drawn.get_figure(root=True).savefig(buffer, format="svg", metadata=nothing)  # type: ignore[union-attr]
    body = buffer.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r"font: (\S+) '[^;\"]*", r"font-size: \1", body)  # as matplotlib writes it before 3.9
    body = _own_ids(_NOT_FOR_HTML.sub("", body).replace("xlink:href", "href"), name)
    box = re.search(r'viewBox="[^"]*"', body)
    opening = f'<svg {box[0] if box else ""} role="img" aria-label="{escape(label)}">'
    body = opening + body[body.index(">") + 1 :]
    for variable, placeholder in _PLACEHOLDER.items():
        body = body.replace(placeholder, f"var(--{variable})")
    return Markup(re.sub(r"\s*\n\s*", "\n", body))


def _own_ids(body: str, name: str) -> str:
    """Drop the ids that nothing refers to, and put the chart's name before the others."""
    used = set(re.findall(r"url\(#([^)]*)\)", body)) | set(re.findall(r'href="#([^"]*)"', body))

    def rename(found: re.Match[str]) -> str:
        return f' id="{name}-{found[1]}"' if found[1] in used else ""

    body = re.sub(r' id="([^"]*)"', rename, body)
    return re.sub(r"(url\(|href=\")#", rf"\1#{name}-", body)
