"""Charts: pure functions from numbers to inline SVG. Colours are CSS classes of the page, which follow its theme.

Drawings are at most 440 units wide, so that their letters stay readable on a phone. All labels are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 40

Point = tuple[float, float]
Line = tuple[str, Sequence[Point]]  # a CSS class, and the points


def share_bar(parts: Sequence[tuple[str, str, float]], total: float) -> Markup:
    """A bar without letters: parts (CSS class, label, size) side by side, `total` fills its width."""
    rectangles, x = [], 0.0
    for name, label, size in parts:
        width = 100 * size / total if total else 0.0
        if width > 0:
            # A part too thin to be seen is drawn a hair wide: few is not none.
            drawn = min(max(width, 0.25), 100 - x)
            rectangles.append(
                f'<rect class="{name}" x="{x:.3f}" y="0" width="{drawn:.3f}" height="10">'
                f"<title>{escape(label)}</title></rect>"
            )
        x += width
    inner = "".join(rectangles)
    return Markup(f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img">{inner}</svg>')


def histogram(
    labels: Sequence[str], stacks: Sequence[tuple[str, str, Sequence[int]]], title: str, every: int = 1
) -> Markup:
    """Columns of stacked counts: `stacks` are (CSS class, name, counts), `labels` the bins', each `every`-th shown."""
    totals = [sum(values) for values in zip(*(counts for _, _, counts in stacks))]
    top = max(totals, default=0)
    scale = (HEIGHT - TOP - BOTTOM) / top if top else 0.0
    step = (WIDTH - LEFT - RIGHT) / max(1, len(labels))
    drawn = []
    for i, label in enumerate(labels):
        y = float(HEIGHT - BOTTOM)
        for name, what, counts in stacks:
            if counts[i] > 0:
                height = max(counts[i] * scale, 1)  # few is not none
                y -= height
                hint = escape(f"{label}: {counts[i]:,} {what}")
                drawn.append(
                    f'<rect class="{name}" x="{LEFT + i * step + 0.5:.1f}" y="{y:.1f}" width="{max(step - 1, 1):.1f}" '
                    f'height="{height:.1f}"><title>{hint}</title></rect>'
                )
        if i % every == 0:
            drawn.append(_text(LEFT + (i + 0.5) * step, HEIGHT - BOTTOM + 15, label, "middle"))
    axis = [_grid_line(value, HEIGHT - BOTTOM - value * scale) for value in ticks(0, top, min(top, 4))] if top else []
    return _svg([*axis, *drawn, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, title, "middle")], title)


def line_chart(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    levels: Sequence[tuple[str, float]] = (),
    marks: Sequence[tuple[str, float]] = (),
    x_range: Point | None = None,
    y_range: Point | None = None,
) -> Markup:
    """Curves over two linear axes; `levels` are labelled horizontal lines, `marks` labelled vertical ones."""
    points = [point for _, curve in lines for point in curve]
    x0, x1 = x_range or _range([x for x, _ in points])
    y0, y1 = y_range or _range([*(y for _, y in points), *(y for _, y in levels)])

    def place(x: float, y: float) -> Point:
        across = LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    drawn = [_grid_line(value, place(x0, value)[1]) for value in ticks(y0, y1, 5)]
    drawn += [_text(place(x, y0)[0], HEIGHT - BOTTOM + 15, number(x), "middle") for x in ticks(x0, x1, 5)]
    for label, y in levels:
        height = place(x0, y)[1]
        drawn.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}" y2="{height:.1f}"/>')
        drawn.append(_text(WIDTH - RIGHT, height - 4 if height > 2 * TOP else height + 14, label, "end"))
    for label, x in marks:
        across = place(x, y0)[0]
        drawn.append(f'<line class="level" x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        drawn.append(_text(across - 5, HEIGHT - BOTTOM - 8, label, "end"))
    for name, curve in lines:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))
        drawn.append(f'<polyline class="{name}" points="{path}"/>')
        if len(curve) <= 12:
            drawn += [
                f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in (place(*p) for p in curve)
            ]
    title = f"{y_title}, by {x_title}"
    return _svg([*drawn, _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, title, "middle")], title)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from `low` to `high`, about `count` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float, digits: int = 4) -> str:
    """A short form of at most `digits` digits: 1500 is 1.5k, 2000000 is 2M."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{digits}g}{suffix}"
    return f"{value:.{digits}g}"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """A curve of at most `most` points: means of neighbours."""
    group = -(-len(points) // most)
    if group <= 1:
        return list(points)
    parts = [points[i : i + group] for i in range(0, len(points), group)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _range(values: Sequence[float]) -> Point:
    """The values' range with a little air; of a single value, some around it."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return (low if low == 0 else low - air), high + air


def _grid_line(value: float, y: float) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(LEFT - 6, y + 4, number(value), "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], title: str) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")
