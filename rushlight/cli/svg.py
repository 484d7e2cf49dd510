"""Charts for the report as inline SVG text: a line chart and a confusion matrix.

In: numbers. Out: SVG markup that takes its colours from the page's style sheet (classes `first`,
`second`, `grid`, `cell`), so that it follows light and dark pages. No script, nothing loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

__all__ = ["Line", "confusion_matrix", "line_chart"]

Line = tuple[str, str, Sequence[tuple[float, float]]]
"""One line of a chart: its name, its CSS class, its points."""

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 34


def _round_step(span: float, wanted: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that cuts `span` into about `wanted` parts."""
    raw = max(span, 1e-9) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    return power * next((m for m in (1, 2, 5) if m * power >= raw), 10)


def _ticks(low: float, high: float, wanted: int) -> list[float]:
    step = _round_step(high - low, wanted)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def line_chart(
    lines: Sequence[Line], x_label: str, y_range: tuple[float, float], percent: bool = False
) -> str:
    """A chart of lines over a shared x axis that starts at 0.

    Args:
        lines: what to draw; a line of class `faint` gets no dots.
        x_label: what the x axis counts.
        y_range: lowest and highest value shown.
        percent: write y values as percentages.

    Returns:
        SVG markup.
    """
    longest = max((x for _, _, points in lines for x, _ in points), default=1.0)
    low, high = y_range

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / longest
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)

    def value(y: float) -> str:
        return f"{y:.0%}" if percent else f"{y:g}"

    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">']
    for tick in _ticks(low, high, 5):
        _, y = place(0, tick)
        out.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        out.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{value(tick)}</text>')
    for tick in _ticks(0, longest, 6):
        if tick != int(tick):
            continue
        x, _ = place(tick, low)
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - 17}" text-anchor="middle">{tick:g}</text>')
    out.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 2}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    for name, style, points in lines:
        inside = [(x, min(max(y, low), high)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in inside))
        out.append(f'<polyline class="{style}" points="{path}"/>')
        if style == "faint":
            continue
        for (x, y), (_, shown) in zip((place(*p) for p in inside), points, strict=True):
            text = f"{shown:.1%}" if percent else f"{shown:.4f}"
            out.append(
                f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
                f"<title>{escape(name)}: {text}</title></circle>"
            )
    out.append("</svg>")
    return "".join(out)


def confusion_matrix(counts: npt.NDArray[np.int64], classes: Sequence[str], row_text: str) -> str:
    """A confusion matrix: row = true class, column = predicted class, percent of each row.

    Args:
        counts: (classes, classes), how often row was taken for column.
        classes: names.
        row_text: pattern of a cell's tooltip, with `{truth}`, `{said}` and `{count}`.

    Returns:
        SVG markup.
    """
    cell, left, top = 40, 92, 74
    side = cell * len(classes)
    out = [f'<svg viewBox="0 0 {left + side + 8} {top + side + 8}" role="img">']
    for number, name in enumerate(classes):
        middle = (number + 0.5) * cell
        text = escape(name)
        out.append(
            f'<text x="{left - 8}" y="{top + middle + 4:.0f}" text-anchor="end">{text}</text>'
        )
        x, y = left + middle, top - 8
        out.append(f'<text transform="translate({x + 4:.0f} {y}) rotate(-45)">{text}</text>')
    totals = np.maximum(counts.sum(axis=1), 1)
    for row, truth in enumerate(classes):
        for column, said in enumerate(classes):
            count = int(counts[row, column])
            share = count / int(totals[row])
            style = "hit" if row == column else "miss"
            x, y = left + column * cell, top + row * cell
            tip = escape(row_text.format(truth=truth, said=said, count=count))
            strength = 0.06 + 0.94 * share**0.6 if count else 0.03
            out.append(
                f'<g><title>{tip}</title><rect class="{style}" x="{x + 1}" y="{y + 1}" rx="4" '
                f'width="{cell - 2}" height="{cell - 2}" fill-opacity="{strength:.2f}"/>'
            )
            if count:
                shade = ' class="on"' if strength > 0.6 else ""
                label = f"{100 * share:.0f}" if share >= 0.005 else "<1"
                out.append(
                    f'<text{shade} x="{x + cell / 2:.0f}" y="{y + cell / 2 + 4:.0f}" '
                    f'text-anchor="middle">{escape(label)}</text>'
                )
            out.append("</g>")
    out.append("</svg>")
    return "".join(out)
