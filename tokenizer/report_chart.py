"""The drawing of a tokenizer's report: lines over a logarithmic axis as inline SVG; colours are classes of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 240  # units, so that letters stay readable on a phone
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 40

Point = tuple[float, float]


def log_chart(lines: Sequence[tuple[str, Sequence[Point]]], x_title: str, y_title: str) -> Markup:
    """Curves (name, points with x above 0) over a logarithmic x and a linear y that begins at 0.

    Line i has the class `line{i}`. All names are escaped. Without a point the drawing is empty.
    """
    points = [point for _, curve in lines for point in curve]
    if not points:
        return Markup("")
    x0, x1 = (math.log2(end([x for x, _ in points])) for end in (min, max))
    top = max(y for _, y in points) * 1.05

    def across(x: float) -> float:
        return LEFT + (math.log2(x) - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)

    drawn = []
    step = next(step for step in (0.5, 1, 2, 5, 10, 50, 100, top) if top / step <= 7)
    for y in [step * n for n in range(int(top / step) + 1)]:
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>')
        drawn.append(_text(LEFT - 6, down(y) + 4, f"{y:g}", "end"))
    powers = range(math.ceil(x0), math.floor(x1) + 1)
    every = max(1, -(-len(powers) // 8))
    drawn += [_text(across(2**n), HEIGHT - BOTTOM + 15, f"{2**n:,}", "middle") for n in powers[::every]]
    for i, (name, curve) in enumerate(lines):
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in curve)
        drawn.append(f'<polyline class="line{i}" points="{path}"><title>{escape(name)}</title></polyline>')
        drawn += [f'<circle class="line{i}" cx="{across(x):.1f}" cy="{down(y):.1f}" r="3"/>' for x, y in curve[-1:]]
    title = f"{y_title}, by {x_title}"
    drawn.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, title, "middle"))
    head = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(drawn) + "</svg>")


def short(value: float) -> str:
    """A number of at most three digits and a prefix of 1,000: 32768 is 32.8k."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
