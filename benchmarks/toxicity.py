"""Toxicity: how well the model ranks labelled text that was held back, what it flags of clean text, and its speed.

The readings are those of the model's card: data sets and what counts as toxic in them. Held back is the fifth of each
data set that the model did not learn from (see its card on how its parameters were chosen). Clean are all passages of
the novels, of the held-back gold pages, and of the modules of Python's standard library. Speed is that of the whole
family on texts of 4 KB of gold pages, on one thread. There is no peer here, so no `ratio`. Facts, and as the last
line a JSON object.
"""

from __future__ import annotations

import json
import os
import sysconfig
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from filters.batch import TextBatch
from filters.ranking import average_precision, roc_auc
from filters.toxicity import MODEL, MODEL_SHA256, THRESHOLD, Toxicity, features, passages
from filters.toxicity_card import readings, scorer
from filters.toxicity_training import Example, read_book, read_examples, read_pages

DATA = Path(os.environ.get("GRISTMILL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SIZE = 4096
REPEATS = 3


def labelled(examples: list[Example]) -> list[dict[str, object]]:
    """ROC AUC and average precision of each reading of each data set, on the held-back part."""
    own = scorer(MODEL)
    rows = []
    for name, part in readings([example for example in examples if example.held_back]):
        toxic, scores = np.array([e.toxic for e in part]), own(part)
        rows.append(
            {
                "reading": name,
                "toxic": int(toxic.sum()),
                "clean": int((~toxic).sum()),
                "roc_auc": round(roc_auc(toxic, scores), 4),
                "average_precision": round(average_precision(toxic, scores), 4),
                "caught_share": round(float((scores > THRESHOLD).mean(where=toxic)), 4),
                "flagged_share": round(float((scores > THRESHOLD).mean(where=~toxic)), 4),
            }
        )
    return rows


def clean(name: str, texts: Iterable[str]) -> dict[str, object]:
    """How many passages and whole texts score above the default threshold."""
    texts = list(texts)
    cut = [Example("", passage, False, "", "") for text in texts for passage in passages(text)]
    cut = [passage for passage in cut if not features(passage.text).isspace()]
    flagged = int((scorer(MODEL)(cut) > THRESHOLD).sum())
    scores = Toxicity()(TextBatch(pa.array(texts, pa.large_string()))).column("score").to_numpy()
    return {
        "texts": name,
        "count": len(texts),
        "flagged": int((scores > THRESHOLD).sum()),
        "passages": len(cut),
        "flagged_passages": flagged,
        "flagged_passages_share": round(flagged / len(cut), 5),
    }


def milliseconds(texts: list[str]) -> float:
    """Of the whole family on 4 KB of text: the fastest of three runs."""
    whole = "\n".join(texts).encode()
    batch = TextBatch(pa.array([whole[i : i + SIZE].decode("utf-8", "ignore") for i in range(0, len(whole), SIZE)]))
    family = Toxicity()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        family(batch)
        times.append(time.perf_counter() - start)
    return round(min(times) / len(batch) * 1000, 4)


def main() -> None:
    pages = dict(read_pages(DATA))
    held_back = [text for uri, text in pages.items() if Example("pages", text, False, uri, uri).held_back]
    books = [read_book(path) for path in sorted(DATA.glob("books/**/*.*")) if path.is_file()]
    code = [path.read_text("utf-8", "replace") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    rows = labelled(read_examples(DATA))
    for row in rows:
        print(f"{row['reading']}: ROC AUC {row['roc_auc']}, average precision {row['average_precision']}")
    presumed = [
        clean("novels", books),
        clean("gold pages, held back", held_back),
        clean("Python's standard library", code),
    ]
    for row in presumed:
        print(
            f"{row['texts']}: {row['flagged']} of {row['count']} flagged, "
            f"{row['flagged_passages']} of {row['passages']} passages"
        )
    print(
        json.dumps(
            {
                "model_sha256": MODEL_SHA256,
                "threshold": THRESHOLD,
                "labelled": rows,
                "clean": presumed,
                "ms_per_4_kb": milliseconds(list(pages.values())),
                "cores": 1,
            }
        )
    )


if __name__ == "__main__":
    main()
