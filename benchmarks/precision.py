"""What the rule sets `garbled` and `advertising` drop, against labels given by hand, and their false alarms.

Texts: the main texts that extraction makes of the pages under `$GRISTMILL_DATA`/web (`pages:URI`), and, for `garbled`,
also those taken by hand (`gold:URI`). Thresholds were chosen on the pages whose URI has an even xxh3 hash; figures are
of all texts and, as `held_back`, of the others. `benchmarks/labels` holds the labels: 1 where a reader agrees that the
text is garbled, or is there to sell. What is dropped against its label, or without one, is listed.

False alarms: the novels, and the Python files among the installed packages. Recall of `garbled` is measured on sound
pages that are damaged on purpose. There is no peer: no published recipe has these rules. Last line: a JSON object.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import site
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import xxhash

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "filters")]  # rules read without Spark are the tests'

from rule_reading import fired, measure  # noqa: E402
from test_rules import read  # noqa: E402

from filters.advertising import Advertising  # noqa: E402
from filters.batch import TextBatch  # noqa: E402
from filters.family import Family  # noqa: E402
from filters.garbled import Garbled  # noqa: E402
from filters.normalize import normalize  # noqa: E402
from pipelines.ingest.records import Document  # noqa: E402
from pipelines.ingest.web.warc import read_warc  # noqa: E402

DATA = Path(os.environ.get("GRISTMILL_DATA", ROOT.parent / "shared" / "data"))
FAMILIES: dict[str, Family] = {"garbled": Garbled(), "advertising": Advertising()}
CODE_FILES = 1000
OCR = {"m": "rn", "e": "c", "h": "li", "d": "cl", "l": "1", "o": "0", "w": "vv", "i": "!", "s": "5", "t": "f", "g": "9"}


def pages() -> dict[str, str]:
    found = {}
    for pattern in ("pages-*.warc.gz", "labelled-*.warc.gz"):
        for path in sorted((DATA / "web").glob(pattern)):
            for page in read_warc(path, path.name, max_text_bytes=10**8, extractor="fast"):
                if isinstance(page, Document) and page.text:
                    found[f"pages:{page.uri}"] = normalize(page.text)
    return found


def gold() -> dict[str, str]:
    with gzip.open(DATA / "web" / "gold.jsonl.gz", "rt", encoding="utf-8") as rows:
        return {f"gold:{row['uri']}": normalize(row["text"]) for row in map(json.loads, rows)}


def books() -> list[str]:
    folder = DATA / "books"
    paths = [*folder.glob("*.epub"), *folder.glob("gutenberg/*.txt"), *folder.glob("eltec/*/*.txt.gz")]
    # The tests read Gutenberg's files as Latin-1, which only one of them is.
    return [normalize(path.read_text("utf-8") if path.name.endswith("-0.txt") else read(path)) for path in paths]


def code() -> list[str]:
    paths = sorted(path for folder in site.getsitepackages() for path in Path(folder).glob("**/*.py"))
    found = [path.read_text("utf-8", "replace") for path in paths[:: max(len(paths) // CODE_FILES, 1)]]
    return [text for text in found if len(text) > 500]


def drops(name: str, texts: list[str]) -> list[set[str]]:
    """The rules of a set that drop each text."""
    rows = measure(TextBatch(pa.array(texts, pa.large_string())), [FAMILIES[name]])
    return [fired(name, row) for row in rows]


def is_held_back(key: str) -> bool:
    return xxhash.xxh3_64_intdigest(key.split(":", 1)[1].encode()) % 2 == 1


def precision(name: str, texts: dict[str, str]) -> dict[str, int]:
    """How many texts a rule set drops, how many of them have a label, and how many of these are right."""
    with (ROOT / "benchmarks" / "labels" / f"{name}.tsv").open(encoding="utf-8") as rows:
        labels = {row["id"]: row["label"] == "1" for row in csv.DictReader(rows, delimiter="\t")}
    counts = dict.fromkeys(("texts", "dropped", "labelled", "right"), 0)
    counts |= {f"held_back_{count}": 0 for count in counts}
    for key, rules in zip(texts, drops(name, [*texts.values()]), strict=True):
        for prefix in ("", "held_back_") if is_held_back(key) else ("",):
            counts[f"{prefix}texts"] += 1
            counts[f"{prefix}dropped"] += bool(rules)
            counts[f"{prefix}labelled"] += bool(rules) and key in labels
            counts[f"{prefix}right"] += bool(rules) and labels.get(key, False)
        if rules and not labels.get(key, False):
            print(f"   {'no label' if key not in labels else 'wrong'}: {key} by {', '.join(sorted(rules))}")
    return counts


def damaged(text: str) -> dict[str, str]:
    """A text damaged in several ways, by the same chance each time."""
    chance = random.Random(xxhash.xxh3_64_intdigest(text.encode()))
    wrong = "".join(OCR[char] if char in OCR and chance.random() < 0.1 else char for char in text)
    keys = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz") if char.isalpha() else char for char in text)
    return {
        "utf8_as_cp1252": text.encode().decode("cp1252", "replace").replace("\ufffd", ""),
        "latin1_as_utf8": text.encode("latin-1", "ignore").decode("utf-8", "replace"),
        "ocr_tenth_of_letters": wrong,
        "random_letters": keys,
        "spaces_between_letters": " ".join(text),
    }


def recall(texts: list[str]) -> dict[str, float]:
    """Share of damaged texts that are dropped; for encodings, of texts with one character in 100 beyond ASCII."""
    by_damage: dict[str, list[str]] = {}
    for text in texts:
        foreign = sum(char > "\x7f" for char in text) >= len(text) / 100
        for damage, broken in damaged(text).items():
            if foreign or "_as_" not in damage:
                by_damage.setdefault(damage, []).append(normalize(broken))
    return {f"recall_{name}": round(share(drops("garbled", broken)), 3) for name, broken in by_damage.items()}


def share(dropped: list[set[str]]) -> float:
    return sum(map(bool, dropped)) / max(len(dropped), 1)


def speed(family: Callable[[TextBatch], object], batch: TextBatch) -> float:
    """MB of UTF-8 per second of processor time, the words being there."""
    assert len(batch.words.hashes)
    family(batch)
    started = time.process_time()
    family(batch)
    return round(float(batch.offsets[-1]) / 1e6 / (time.process_time() - started), 1)


def main() -> None:
    web = pages()
    result: dict[str, object] = {"cores": 1}
    novels, programs = books(), code()
    batch = TextBatch(pa.array([*web.values()], pa.large_string()))
    for name, family in FAMILIES.items():
        print(f"{name}:")
        counts: dict[str, object] = {**precision(name, web | gold() if name == "garbled" else web)}
        counts["books"], counts["books_dropped"] = len(novels), sum(map(bool, drops(name, novels)))
        counts["code_files"], counts["code_dropped"] = len(programs), sum(map(bool, drops(name, programs)))
        if name == "garbled":
            counts |= recall([text for key, text in web.items() if is_held_back(key) and len(text) > 300])
        counts["mb_per_second"] = speed(family, batch)
        print("  ", *(f"{key} {value};" for key, value in counts.items()))
        result[name] = counts
    print(json.dumps(result))


if __name__ == "__main__":
    main()
