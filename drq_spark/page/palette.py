"""Colours of the levels: one ramp, since levels are ordered, told apart by lightness as much as by hue."""

from __future__ import annotations

from collections.abc import Sequence

RGB = tuple[int, int, int]
_LIGHT: tuple[RGB, ...] = ((20, 52, 110), (22, 125, 150), (178, 128, 12))  # on paper: deep blue, teal, ochre
_DARK: tuple[RGB, ...] = ((150, 190, 255), (70, 205, 190), (240, 190, 80))  # on slate: the same, lighter


def level_colours(levels: int) -> list[tuple[str, str]]:
    """(light, dark) CSS colours of levels 1 .. L, evenly along the ramp."""
    places = [level / max(1, levels - 1) for level in range(levels)]
    return [(_along(_LIGHT, place), _along(_DARK, place)) for place in places]


def _along(stops: Sequence[RGB], place: float) -> str:
    """The colour at `place` in [0, 1] of a ramp through evenly spaced stops."""
    position = place * (len(stops) - 1)
    lower = min(int(position), len(stops) - 2)
    part = position - lower
    mixed = (round(a + (b - a) * part) for a, b in zip(stops[lower], stops[lower + 1], strict=True))
    return "#{:02x}{:02x}{:02x}".format(*mixed)
