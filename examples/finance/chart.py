"""Inline SVG, drawn as strings: no script, no library, colours from the style sheet.

Coordinates are the view box's; every function gives back Markup that a template may
put on the page as it is. Only numbers and ISO dates reach the markup, no text of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, log10

from markupsafe import Markup

WIDTH, HEIGHT = 960, 340
"""The view box of price_chart."""
LEFT, RIGHT, TOP = 8, 904, 14
PLOT_BOTTOM, VOLUME_TOP, VOLUME_BOTTOM = 238, 256, 310
LINE_POINTS, AVERAGE_POINTS = 400, 140
"""How many points a line has at most; more could not be told apart on a screen."""
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

Series = Sequence[float | None]


def price_chart(
    name: str,
    dates: Sequence[str],
    closes: Sequence[float],
    *,
    averages: Sequence[tuple[str, Series]] = (),
    volumes: Sequence[int] = (),
    label: str = "Closing price",
) -> Markup:
    """An area chart of `closes` with moving averages over it and volume bars below.

    `name` makes ids unique on the page; each average is (CSS class, a value a day).
    """
    known = [v for _, series in averages for v in series if v is not None]
    ticks = nice_ticks(min([*closes, *known]), max([*closes, *known]), 5)
    bottom = VOLUME_BOTTOM if volumes else PLOT_BOTTOM
    plot = _Plot(len(closes), ticks[0], ticks[-1])
    parts = [
        f'<svg class="chart broad" viewBox="0 0 {WIDTH} {bottom + 28}" role="img" '
        f'aria-label="{label}, {dates[0]} to {dates[-1]}">',
        f'<defs><linearGradient id="fade-{name}" x1="0" y1="0" x2="0" y2="1">'
        '<stop class="fade-from" offset="0"/><stop class="fade-to" offset="1"/>'
        "</linearGradient></defs>",
        _grid(plot, ticks, closes[-1]),
        _calendar(plot, dates, bottom),
        _volume_bars(plot, volumes, closes),
        _area(plot, closes, f"fade-{name}"),
    ]
    parts += [
        f'<path class="{css}" d="{plot.path(series, AVERAGE_POINTS)}"/>' for css, series in averages
    ]
    parts.append(f'<path class="line" d="{plot.path(closes, LINE_POINTS)}"/>')
    parts.append(_last_price(plot, closes[-1]))
    return Markup("".join(parts) + "</svg>")


def sparkline(values: Sequence[float], width: int = 132, height: int = 36) -> Markup:
    """A line without axes, green or red by whether it ended higher; at most 66 points."""
    thin = [values[index] for index in spread(len(values), width // 2)]
    low, high = min(thin), max(thin)
    scale = (height - 4) / ((high - low) or 1.0)
    step = width / max(1, len(thin) - 1)
    points = " ".join(
        f"{i * step:.0f},{height - 2 - (v - low) * scale:.1f}" for i, v in enumerate(thin)
    )
    css = "up" if values[-1] >= values[0] else "down"
    return Markup(
        f'<svg class="spark {css}" viewBox="0 0 {width} {height}" '
        'preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{points}"/></svg>'
    )


def range_bar(low: float, high: float, value: float, width: int = 80) -> Markup:
    """Where `value` stands between `low` and `high`: a dot on a line, `width` units long."""
    at = 4 + (width - 8) * (value - low) / ((high - low) or 1.0)
    return Markup(
        f'<svg class="range" viewBox="0 0 {width} 10" aria-hidden="true">'
        f'<path d="M4 5H{width - 4}"/>'
        f'<circle cx="{at:.0f}" cy="5" r="3.5"/></svg>'
    )


def histogram_chart(counts: Sequence[int], edges: Sequence[float]) -> Markup:
    """Bars for counts of daily returns; `edges` (fractions) lie between the bars."""
    wide, tall, top = 440, 190, max([*counts, 1])
    step = (wide - 16) / len(counts)
    parts = [
        f'<svg class="chart" viewBox="0 0 {wide} {tall}" role="img" aria-label="Daily returns">'
    ]
    middle = len(counts) / 2
    for index, count in enumerate(counts):
        height = (tall - 44) * count / top
        css = "bar-down" if index + 0.5 < middle else "bar-up"
        x, y = 8 + index * step, tall - 24 - height
        parts.append(
            f'<rect class="{css}" x="{x + 1:.1f}" y="{y:.1f}" width="{step - 2:.1f}" '
            f'height="{height:.1f}" rx="2"/>'
        )
        if count:
            parts.append(_text(x + step / 2, y - 4, str(count), "count"))
    for index, edge in enumerate(edges):
        if index % 2 == len(edges) // 2 % 2:
            label = f"{100 * edge:+g}".replace("-", "\N{MINUS SIGN}") if edge else "0"
            parts.append(_text(8 + (index + 1) * step, tall - 8, f"{label} %", "mid"))
    return Markup("".join(parts) + "</svg>")


def earnings_chart(rows: Iterable[tuple[str, float, float | None]]) -> Markup:
    """(quarter, estimated, actual earnings per share in dollars): a ring and a dot for each."""
    quarters = list(rows)
    values = [v for _, estimate, actual in quarters for v in (estimate, actual) if v is not None]
    ticks = nice_ticks(min(values), max(values), 4)
    wide, tall, bottom = 440, 190, 156
    step = (wide - 56) / max(1, len(quarters))
    scale = (bottom - 12) / (ticks[-1] - ticks[0])
    parts = [f'<svg class="chart" viewBox="0 0 {wide} {tall}" role="img" aria-label="Earnings">']
    for tick in ticks:
        y = bottom - (tick - ticks[0]) * scale
        parts.append(f'<path class="grid" d="M8 {y:.1f}H{wide - 48}"/>')
        parts.append(_text(wide - 42, y + 4, _shortest(tick, ticks), "end"))
    for index, (quarter, estimate, actual) in enumerate(quarters):
        x = 8 + (index + 0.5) * step
        y = bottom - (estimate - ticks[0]) * scale
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
        if actual is not None:
            css = "dot-up" if actual >= estimate else "dot-down"
            y = bottom - (actual - ticks[0]) * scale
            parts.append(f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
        if (len(quarters) - 1 - index) % 2 == 0:
            parts.append(_text(x, tall - 12, f"{quarter[5:]} {quarter[2:4]}", "mid"))
    return Markup("".join(parts) + "</svg>")


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Round values that enclose low…high, about `count` of them, at least two."""
    span = (high - low) or abs(high) or 1.0
    raw = span / max(1, count - 1)
    magnitude = 10 ** floor(log10(raw))
    step = magnitude * next(m for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = floor(low / step)
    last = max(first + 1, -floor(-high / step))
    return [round(index * step, 10) for index in range(first, last + 1)]


def spread(count: int, most: int) -> range:
    """At most `most` of the indexes below `count`, evenly spread, the last always among them."""
    stride = max(1, -(-count // most))
    return range((count - 1) % stride, count, stride)


class _Plot:
    """Maps (index, value) to the plot's coordinates."""

    def __init__(self, count: int, low: float, high: float) -> None:
        self.step = (RIGHT - LEFT) / max(1, count - 1)
        self.low = low
        self.scale = (PLOT_BOTTOM - TOP) / ((high - low) or 1.0)

    def x(self, index: int) -> float:
        return LEFT + index * self.step

    def y(self, value: float) -> float:
        return PLOT_BOTTOM - (value - self.low) * self.scale

    def path(self, series: Series, most: int) -> str:
        """An SVG path through about `most` of the known values, in short relative steps."""
        parts: list[str] = []
        last_x = last_y = 0
        for index in spread(len(series), most):
            value = series[index]
            if value is None:
                continue
            x, y = round(self.x(index) * 10), round(self.y(value) * 10)
            letter = "l" if parts else "M"
            parts.append(f"{letter}{_tenth(x - last_x)} {_tenth(y - last_y)}")
            last_x, last_y = x, y
        return "".join(parts)


def _tenth(tenths: int) -> str:
    """12 -> "1.2", 10 -> "1"."""
    whole, rest = divmod(abs(tenths), 10)
    sign = "-" if tenths < 0 else ""
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def _grid(plot: _Plot, ticks: Sequence[float], last: float) -> str:
    """Lines and labels, without the label that the last price's tag would lie upon."""
    clear = [t for t in ticks if abs(plot.y(t) - plot.y(last)) > 16]
    lines = (f'<path class="grid" d="M{LEFT} {plot.y(t):.1f}H{RIGHT}"/>' for t in ticks)
    labels = (_text(RIGHT + 8, plot.y(t) + 4, _shortest(t, ticks), "end") for t in clear)
    return "".join([*lines, *labels])


def _calendar(plot: _Plot, dates: Sequence[str], bottom: float) -> str:
    """Month names where months begin, as many as have room."""
    starts = [i for i in range(1, len(dates)) if dates[i][:7] != dates[i - 1][:7]]
    stride = next(s for s in (1, 2, 3, 6, 12, 24, 120) if len(starts) / s <= 10)
    parts = []
    for index in starts:
        year, month = dates[index][:4], int(dates[index][5:7])
        x = plot.x(index)
        if (month - 1) % min(stride, 12) or LEFT + 16 > x or x > RIGHT - 12:
            continue
        text = year if month == 1 else MONTHS[month - 1]
        parts.append(f'<path class="grid faint" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(_text(x, bottom + 18, text, "mid"))
    return "".join(parts)


def _volume_bars(plot: _Plot, volumes: Sequence[int], closes: Sequence[float]) -> str:
    """One path for days that rose and one for those that fell; bars a day wide, or wider."""
    if not volumes:
        return ""
    bars = spread(len(volumes), 260)
    top = max(volumes)
    paths: dict[str, list[str]] = {"bar-up": [], "bar-down": []}
    for index in bars:
        height = (VOLUME_BOTTOM - VOLUME_TOP) * volumes[index] / top
        rose = index == 0 or closes[index] >= closes[index - 1]
        paths["bar-up" if rose else "bar-down"].append(
            f"M{plot.x(index):.1f} {VOLUME_BOTTOM}v-{height:.1f}"
        )
    width = max(1.0, plot.step * bars.step * 0.68)
    return "".join(
        f'<path class="volume {css}" stroke-width="{width:.1f}" d="{"".join(parts)}"/>'
        for css, parts in paths.items()
    )


def _area(plot: _Plot, closes: Sequence[float], fade: str) -> str:
    """The filled shape below the line."""
    indexes = spread(len(closes), AVERAGE_POINTS)
    points = "L".join(f"{plot.x(i):.0f} {plot.y(closes[i]):.0f}" for i in indexes)
    shape = f"M{plot.x(indexes[0]):.0f} {PLOT_BOTTOM}L{points}V{PLOT_BOTTOM}Z"
    return f'<path fill="url(#{fade})" d="{shape}"/>'


def _last_price(plot: _Plot, close: float) -> str:
    y = plot.y(close)
    return (
        f'<path class="last" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        f'<rect class="tag" x="{RIGHT + 2}" y="{y - 10:.1f}" width="52" height="20" rx="4"/>'
        + _text(RIGHT + 8, y + 4, _price(close), "tag-text")
    )


def _price(value: float) -> str:
    return f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def _shortest(value: float, ticks: Sequence[float]) -> str:
    """The tick with as many decimals as all of them need."""
    digits = next(d for d in range(5) if d == 4 or all(abs(round(t, d) - t) < 1e-9 for t in ticks))
    return f"{value:,.{digits}f}"


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{text}</text>'
