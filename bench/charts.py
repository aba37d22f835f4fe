"""SVG charts without a library: bars, stacked bars, and percentile curves.

Colours follow the reader's light or dark scheme by a media query, so a chart reads well on either
background, in a page or by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH = 780
BAR, GAP, LABEL, VALUE = 20, 8, 220, 160
STYLE = """
svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
.text { fill: #1f2430; } .soft { fill: #5d6675; } .axis { stroke: #c9ced8; fill: none; }
.whisker { stroke: #1f2430; stroke-width: 1.5; }
.c0 { fill: #0b6bcb; } .c1 { fill: #7a8495; } .c2 { fill: #b4530f; } .c3 { fill: #2b8a3e; }
.c4 { fill: #8a3ab9; } .c5 { fill: #a61e4d; } .c6 { fill: #0c8599; } .second { fill-opacity: .45; }
.l0 { stroke: #0b6bcb; } .l1 { stroke: #7a8495; } .l2 { stroke: #b4530f; } .l3 { stroke: #2b8a3e; }
.l4 { stroke: #8a3ab9; } .l5 { stroke: #a61e4d; } .l6 { stroke: #0c8599; }
.line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
.text { fill: #e6e9ef; } .soft { fill: #9aa4b5; } .axis { stroke: #3c4454; }
.whisker { stroke: #e6e9ef; }
.c0 { fill: #58a6ff; } .c1 { fill: #8b95a7; } .c2 { fill: #f0883e; } .c3 { fill: #56d364; }
.c4 { fill: #c297ff; } .c5 { fill: #ff7b9c; } .c6 { fill: #4dd0e1; }
.l0 { stroke: #58a6ff; } .l1 { stroke: #8b95a7; } .l2 { stroke: #f0883e; } .l3 { stroke: #56d364; }
.l4 { stroke: #c297ff; } .l5 { stroke: #ff7b9c; } .l6 { stroke: #4dd0e1; }
}
"""
COLOURS = 7


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart. `parts` are stacked; `low` and `high` draw a whisker."""

    label: str
    parts: tuple[float, ...]
    text: str
    low: float | None = None
    high: float | None = None
    colour: int = 0

    @property
    def end(self) -> float:
        return max(sum(self.parts), self.high or 0.0)


def short(value: float) -> str:
    """Three significant digits with a k or M: 12.3k."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def _document(height: float, title: str, body: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
            f'width="{WIDTH}" height="{height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            *body,
            "</svg>\n",
        ]
    )


def _text(x: float, y: float, text: str, classes: str = "text", anchor: str = "start") -> str:
    return (
        f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


def bars(title: str, rows: Sequence[Bar], note: str = "") -> str:
    """Horizontal bars from zero, each with its label, value and interval."""
    room = WIDTH - LABEL - VALUE
    most = max((bar.end for bar in rows), default=0) or 1
    body = [_text(0, 16, title)]
    y = 32.0
    for bar in rows:
        body.append(_text(LABEL - 8, y + 15, bar.label, anchor="end"))
        x = float(LABEL)
        for i, part in enumerate(bar.parts):
            width = room * part / most
            style = f"c{bar.colour % COLOURS}{' second' if i else ''}"
            body.append(
                f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
                f'height="{BAR}" rx="2"/>'
            )
            x += width
        if bar.low is not None and bar.high is not None:
            left, right = (LABEL + room * v / most for v in (bar.low, bar.high))
            middle = y + BAR / 2
            body.append(
                f'<path class="whisker" d="M{left:.1f} {middle - 4:.1f}v8m0 -4H{right:.1f}m0 -4v8"/>'
            )
        body.append(_text(LABEL + room * bar.end / most + 8, y + 15, bar.text, "soft"))
        y += BAR + GAP
    if note:
        body.append(_text(0, y + 14, note, "soft"))
        y += 22
    return _document(y, title, body)


def percentile_x(percentile: float) -> float:
    """Nines: 90 → 1, 99 → 2, 99.9 → 3."""
    return -math.log10(max(1e-6, 1 - percentile / 100))


def curves(title: str, series: Sequence[tuple[str, dict[float, float]]], note: str = "") -> str:
    """Latency by percentile: the percentile by its number of nines, the latency logarithmic.
    `series` are (label, {percentile: microseconds})."""
    left, top, height = 64, 32, 240
    right = WIDTH - 250
    values = [v for _, points in series for v in points.values() if v > 0]
    low = math.floor(math.log10(min(values, default=1)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10))))
    widest = max((percentile_x(p) for _, points in series for p in points), default=1) or 1

    def at(percentile: float, us: float) -> str:
        x = left + (right - left) * percentile_x(percentile) / widest
        share = (math.log10(max(us, 10**low)) - low) / (high - low)
        return f"{x:.1f} {top + height * (1 - share):.1f}"

    body = [_text(0, 16, title)]
    for power in range(low, high + 1):
        y = top + height * (1 - (power - low) / (high - low))
        body.append(f'<path class="axis" d="M{left} {y:.1f}H{right}"/>')
        us = 10.0**power
        label = f"{us / 1000:g} ms" if us >= 1000 else f"{us:g} µs"
        body.append(_text(left - 6, y + 4, label, "soft", "end"))
    for percentile in (0, 50, 90, 99, 99.9, 99.99):
        x = left + (right - left) * percentile_x(percentile) / widest
        if x <= right + 1:
            body.append(_text(x, top + height + 18, f"{percentile:g}", "soft", "middle"))
    for i, (label, points) in enumerate(series):
        path = "L".join(at(p, us) for p, us in sorted(points.items()))
        body.append(f'<path class="line l{i % COLOURS}" d="M{path}"/>')
        body.append(
            f'<rect class="c{i % COLOURS}" x="{right + 16}" y="{top + 22 * i}" width="12" '
            f'height="12" rx="2"/>'
        )
        body.append(_text(right + 34, top + 22 * i + 11, label))
    bottom = top + height + 30
    if note:
        body.append(_text(0, bottom + 12, note, "soft"))
        bottom += 20
    return _document(bottom, title, body)
