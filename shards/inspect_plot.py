"""The picture of a shard set as one SVG, or an HTML page around it: no script, no other file, light and dark.

All names in it are escaped; of control characters, which no XML can hold, their escapes are shown.
"""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from shards.inspect import BucketFacts
from shards.read import ShardSet
from shards.show import printable

WIDTH: Final = 720
NAMES_WIDTH: Final = 190  # left of the bars
BAR: Final = 22  # height of a bar with the gap below it
COLUMNS_HEIGHT: Final = 150
MOST_BARS: Final = 40
COLOURS: Final = ("#3f83c4", "#d9822b", "#2f8f6b", "#8b6fc0", "#c75d96", "#7d858d")  # readable on both grounds

_STYLE: Final = """
svg { --ground: #ffffff; --ink: #1f2328; --soft: #656d76; --edge: #dfdcd5; background: var(--ground); }
@media (prefers-color-scheme: dark) {
  svg { --ground: #14161a; --ink: #e4e6e9; --soft: #9aa3ad; --edge: #33373e; }
}
text { font: 12px system-ui, sans-serif; fill: var(--soft); }
text.title { font-size: 15px; font-weight: 600; fill: var(--ink); }
line { stroke: var(--edge); }
"""

Stacks = Sequence[tuple[str, dict[int, int]]]  # of each split, how much of it is in each bin


def svg(shards: ShardSet, facts: list[BucketFacts]) -> str:
    """Tokens and padding by bucket and split, documents by length, rows by the documents in them."""
    splits = sorted({fact.split for fact in facts})
    lengths = [(split, _summed([fact.lengths for fact in facts if fact.split == split])) for split in splits]
    in_rows = [
        (split, _summed([_by_power(fact.packing.documents_per_row) for fact in facts if fact.split == split]))
        for split in splits
    ]
    shown = facts[:MOST_BARS]
    more = f", the first {MOST_BARS} of {len(facts)}" if len(facts) > MOST_BARS else ""
    colours = {split: COLOURS[i % len(COLOURS)] for i, split in enumerate(splits)}
    header = shards.header
    title = f"{len(shards.manifest.files):,} shards, rows of {header.width:,} tokens, packed by {header.packing}"
    panels = [
        _legend(title, colours),
        _bars(f"Tokens by split and bucket{more}", shown, colours, lambda fact: fact.tokens, _short),
        _bars(
            f"Padding, share of all places{more}", shown, colours, lambda fact: fact.padding_share, lambda x: f"{x:.3%}"
        ),
        _columns("Documents by length, tokens from", lengths, colours),
        _columns("Rows by number of documents, from", in_rows, colours),
    ]
    drawn, y = [], 0
    for height, parts in panels:
        drawn.append(f'<g transform="translate(0 {y})">{"".join(parts)}</g>')
        y += height + 24
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-16 -16 {WIDTH + 32} {y + 8}" role="img"'
    return f'{head} aria-label="{_safe(title)}"><style>{_STYLE}</style>{"".join(drawn)}</svg>\n'


def html(shards: ShardSet, facts: list[BucketFacts]) -> str:
    """A page that holds the picture."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<title>Token shards</title>\n"
        "<style>:root { color-scheme: light dark; } body { margin: 0 auto; max-width: 860px; }</style>\n"
        f"</head>\n<body>\n{svg(shards, facts)}</body>\n</html>\n"
    )


FORMATS: Final[dict[str, Callable[[ShardSet, list[BucketFacts]], str]]] = {".svg": svg, ".html": html}


def check_format(path: Path) -> None:
    """Raise ValueError, which names the formats there are, for a file name that ends in none of them."""
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: no picture is made in this format; there are: {', '.join(FORMATS)}")


def draw(path: Path, shards: ShardSet, facts: list[BucketFacts]) -> str:
    """The content of the picture's file, by its suffix. Raises ValueError as `check_format` does."""
    check_format(path)
    return FORMATS[path.suffix.lower()](shards, facts)


def _legend(title: str, colours: dict[str, str]) -> tuple[int, list[str]]:
    parts, x = [_text(0, 14, title, "title")], 0
    for split, colour in colours.items():
        parts.append(f'<rect x="{x}" y="26" width="11" height="11" rx="2" fill="{colour}"/>')
        parts.append(_text(x + 17, 36, split))
        x += 40 + 8 * len(split)
    return 40, parts


def _bars(
    title: str,
    facts: list[BucketFacts],
    colours: dict[str, str],
    value: Callable[[BucketFacts], float],
    label: Callable[[float], str],
) -> tuple[int, list[str]]:
    """A bar for each bucket of each split."""
    most = max((value(fact) for fact in facts), default=0) or 1
    room = WIDTH - NAMES_WIDTH - 80
    parts = [_text(0, 14, title, "title")]
    for i, fact in enumerate(facts):
        y = 26 + i * BAR
        name = f"{fact.split} {fact.bucket}"
        length = value(fact) / most * room
        parts.append(_text(0, y + 12, name if len(name) <= 28 else f"{name[:27]}…"))
        parts.append(
            f'<rect x="{NAMES_WIDTH}" y="{y}" width="{length:.1f}" height="{BAR - 6}" fill="{colours[fact.split]}">'
            f"<title>{_safe(name)}: {label(value(fact))}</title></rect>"
        )
        parts.append(_text(NAMES_WIDTH + length + 6, y + 12, label(value(fact))))
    return 26 + len(facts) * BAR, parts


def _columns(title: str, stacks: Stacks, colours: dict[str, str]) -> tuple[int, list[str]]:
    """Stacked columns, a bin for each power of two from the first to the last that holds something."""
    powers = [power for _, counts in stacks for power in counts]
    bins = range(min(powers, default=0), max(powers, default=-1) + 1)
    top = max((sum(counts.get(power, 0) for _, counts in stacks) for power in bins), default=0) or 1
    step = min(60.0, WIDTH / max(1, len(bins)))
    floor = 34 + COLUMNS_HEIGHT
    parts = [_text(0, 14, title, "title"), f'<line x1="0" x2="{WIDTH}" y1="{floor}" y2="{floor}"/>']
    for i, power in enumerate(bins):
        y = float(floor)
        for split, counts in stacks:
            if count := counts.get(power, 0):
                height = max(1.0, count / top * COLUMNS_HEIGHT)  # few is not none
                y -= height
                parts.append(
                    f'<rect x="{i * step + 1:.1f}" y="{y:.1f}" width="{step - 2:.1f}" height="{height:.1f}" '
                    f'fill="{colours[split]}"><title>{_safe(split)}: {count:,} from {2**power:,}</title></rect>'
                )
        total = sum(counts.get(power, 0) for _, counts in stacks)
        parts.append(_text((i + 0.5) * step, floor + 15, _short(2**power), anchor="middle"))
        parts.append(_text((i + 0.5) * step, y - 4, _short(total) if total else "", anchor="middle"))
    return floor + 20, parts


def _by_power(counts: dict[int, int]) -> dict[int, int]:
    """Counts by number as counts by power of two: key k stands for 2^k to 2^(k+1) - 1."""
    return _summed([{number.bit_length() - 1: count} for number, count in counts.items() if number])


def _summed(tables: list[dict[int, int]]) -> dict[int, int]:
    sums: dict[int, int] = {}
    for table in tables:
        for key, count in table.items():
            sums[key] = sums.get(key, 0) + count
    return sums


def _short(value: float) -> str:
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _safe(text: str) -> str:
    return escape(printable(text, kept=""))


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_safe(text)}</text>'
