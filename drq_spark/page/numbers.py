"""Numbers for people: three significant digits, thousands separators, percentages that never round to a false 100 %."""

from __future__ import annotations

import math

NBSP = "\N{NO-BREAK SPACE}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Integers in full, everything else to three significant digits.

    >>> number(1234567), number(1234.5), number(0.04567), number(0.0000123)
    ('1,234,567', '1,230', '0.0457', '1.23\xa0×\xa010⁻⁵')
    """
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e-3 <= abs(value) < 1e15:
        rounded = float(f"{value:.3g}")
        return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}".replace(" ", NBSP)


def three_digits(value: float) -> str:
    """A number to three significant digits, those of integers included: for what was estimated.

    >>> three_digits(1234567), three_digits(0.04567)
    ('1,230,000', '0.0457')
    """
    return number(float(f"{value:.3g}"))


def percent(share: float) -> str:
    """A share as a percentage; 0 % and 100 % only where it is exactly that.

    >>> [percent(share).replace(NBSP, " ") for share in (0, 0.000001, 0.4123, 0.99999, 1)]
    ['0 %', '< 0.001 %', '41.2 %', '> 99.9 %', '100 %']
    """
    if 0 < share < 1e-5:
        return f"<{NBSP}0.001{NBSP}%"
    if 0.9995 <= share < 1:
        return f">{NBSP}99.9{NBSP}%"
    return f"{three_digits(100 * share)}{NBSP}%"


def whole_percent(share: float) -> str:
    """A share in whole percent, without the sign: for several in one line.

    >>> [whole_percent(share) for share in (0, 0.001, 0.4123, 0.999)]
    ['0', '<1', '41', '>99']
    """
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "<1"
    return ">99" if rounded == 100 and share < 1 else str(rounded)


def two_digit_percent(share: float) -> str:
    """A share as a percentage of two significant digits, for what is extrapolated.

    >>> two_digit_percent(0.01234), two_digit_percent(0.999)
    ('1.2 %', '100 %')
    """
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def three_decimals(value: float) -> str:
    """Three decimals in little room: without the 0 before the point.

    >>> three_decimals(0.12345), three_decimals(1.5), three_decimals(-0.25)
    ('.123', '1.500', '-0.250')
    """
    text = f"{value:.3f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def in_column(value: float | None, spec: str) -> str:
    """A figure in a column of a terminal table, where all have the same decimals; `-` where there is none.

    >>> in_column(0.4123, ".1%"), in_column(None, ".1%")
    ('41.2%', '-')
    """
    return "-" if value is None else format(value, spec)


def duration(seconds: float) -> str:
    """Seconds as a person would say them.

    >>> [duration(s).replace(NBSP, " ") for s in (0.0421, 12.34, 245, 3725)]
    ['0.0421 s', '12.3 s', '4 min 5 s', '1 h 2 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{three_digits(seconds)}{NBSP}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    return f"{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min"


def finite(value: float | None) -> float | None:
    """The value, or None where there is none to show: missing, nan or infinite."""
    return value if value is not None and math.isfinite(value) else None
