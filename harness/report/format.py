"""Numbers, units and labels as a reader expects them."""

from __future__ import annotations

from datetime import datetime

from harness.store.summary import Params, Scalar

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
EN_DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None) -> str:
    """Three significant digits, thousands separated, never an exponent: 12,345 · 161 · 65.8 · 3.25 · 0.163 · 0."""
    if value is None:
        return EN_DASH
    size = abs(value)
    digits = 0 if size >= 99.95 or size == 0 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0 and value:
        return f"{value:.1g}" if size >= 1e-6 else "0"
    return text.replace("-", MINUS)


def plain(value: float) -> str:
    """A number that somebody chose (a tick, a bound, a cap), as chosen: 0.15, 2.5, 1,000."""
    return f"{value:,.10g}"


def in_unit(value: float | None, unit: str) -> str:
    """A number in its unit: shares as percentages, rates as ``161 /s``, counts bare."""
    if value is None:
        return EN_DASH
    if unit == "share":
        return percent(value)
    if unit == "count":
        return f"{value:,.0f}" if float(value).is_integer() else number(value)
    short = short_unit(unit)
    return f"{number(value)}{THIN_SPACE}{short}" if short else number(value)


def short_unit(unit: str) -> str:
    """The unit as it stands behind a figure."""
    return {"1/s": "/s", "share": "%", "count": ""}.get(unit, unit)


def percent(share: float) -> str:
    """A share as a percentage; 100% and 0% are said only of all and nothing."""
    text = f"{share * 100:.1f}"
    if text == "100.0" and share < 1:
        text = "99.9"
    if text == "0.0" and share > 0:
        text = "0.1"
    return text.removesuffix(".0") + "%"


def times(ratio: float | None) -> str:
    """A ratio with its sign, e.g. ``5.40x``."""
    return number(ratio) + (TIMES if ratio is not None else "")


def span(low: float | None, high: float | None, unit: str = "") -> str:
    """A range without a unit, or nothing where it has no width."""
    if low is None or high is None:
        return ""
    left, right = (in_unit(low, unit), in_unit(high, unit)) if unit == "share" else (number(low), number(high))
    return "" if left == right else f"{left}{EN_DASH}{right}"


def params_label(params: Params) -> str:
    """What tells a cell apart, e.g. ``buyers 5,000, replicas 2``; empty for the only cell."""
    units = {"rate": "/s"}
    return ", ".join(f"{key.replace('_', ' ')} {scalar(value)}{units.get(key, '')}" for key, value in params.items())


def scalar(value: Scalar | None) -> str:
    """A value of a setting or a table cell."""
    if value is None:
        return EN_DASH
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    return plain(value) if isinstance(value, float) else value


def duration(seconds: float) -> str:
    """A time that a person reads: ``8.4 s``, ``3 min 20 s``, ``1 h 5 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f}{THIN_SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN_SPACE}min {rest}{THIN_SPACE}s"
    return f"{minutes // 60}{THIN_SPACE}h {minutes % 60}{THIN_SPACE}min"


def size(count: int) -> str:
    """Bytes in binary units, as memory is sold: ``512 B``, ``1.50 KiB``, ``3.82 GiB``."""
    value, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number(value) if unit != 'B' else count}{THIN_SPACE}{unit}"


def sentence(text: str) -> str:
    """A text with a capital at its head and a stop at its end."""
    return text[:1].upper() + text[1:].rstrip(". ") + "." if text.strip() else ""


def moment(when: datetime) -> str:
    """A moment with its offset, to the minute: ``23 November 2026, 14:57 UTC``."""
    zone = when.strftime("%z")
    name = "UTC" if zone in ("+0000", "") else f"UTC{zone[:3]}:{zone[3:5]}"
    return f"{when.day} {when.strftime('%B %Y, %H:%M')} {name}"
