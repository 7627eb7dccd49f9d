"""What repeats take from the texts of the corpus: which spans go, and where a cut begins and ends.

Nothing that is cut `later` vanishes everywhere: it stays in a document that is kept, which is known only after `judge`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from filters import borders
from filters.edits import Edit
from pipelines.dedup.options import Passages, Repeats, Units

SPARED = "spared"  # in place of a kind: `cut: later` leaves the span here


def spans(repeats: DataFrame, verdicts: DataFrame, settings: Repeats) -> DataFrame:
    """(part, doc_id, start, end, reason) of the spans to cut from the kept documents.

    `reason` is the kind, or SPARED: of the kept documents that have a span, those of the first cluster are spared by
    `cut: later`, whatever became of others. `repeats`: as `write` writes them; `verdicts`: (doc_id, part, cluster,
    kept).
    """
    later = later_kinds(settings)
    asked = F.col("kind").isin([kind for kind, options in _cutting(settings).items() if options.cut != "none"])
    if settings.contamination and settings.contamination.action == "cut":
        asked = asked | ((F.col("kind") == "contamination") & (F.col("share") >= settings.contamination.share))
    kept = verdicts.where("kept").select("doc_id", "part", "cluster")
    found = repeats.where(asked).join(kept, "doc_id", how="inner")
    firsts = found.where(F.col("kind").isin(later)).groupBy("kind", "key").agg(F.min("cluster").alias("first"))
    found = found.join(firsts, ["kind", "key"], how="left")
    reason = F.when(F.col("cluster") == F.col("first"), F.lit(SPARED)).otherwise(F.col("kind"))
    return found.select("part", "doc_id", "start", "end", reason.alias("reason"))


def _cutting(settings: Repeats) -> dict[str, Units | Passages]:
    """The settings that say what is cut, by kind."""
    given = {"line": settings.lines, "paragraph": settings.paragraphs, "passage": settings.passages}
    return {kind: options for kind, options in given.items() if options is not None}


def later_kinds(settings: Repeats) -> list[str]:
    """The kinds that stay in the first kept document that has them, and nowhere else."""
    return [kind for kind, options in _cutting(settings).items() if options.cut == "later"]


def edits(text: str, spans: list[Edit], settings: Repeats) -> list[Edit]:
    """What the rows of `spans` take from their text, rising and disjoint, so that the rest reads as text.

    What is spared stays whole: a line or paragraph that shares a byte with it is not cut, and of a passage only what
    lies outside. So every line, paragraph and n-gram of a passage that is cut `later` is whole in a kept document.
    Passages are cut in whole units of their `border`, benchmark items in whole words.
    """
    data, later = text.encode(), later_kinds(settings)
    spared = _marks(len(data), [span for span in spans if span.reason == SPARED])
    free = ~spared if "passage" in later else np.ones(len(data), bool)
    found = [
        (span.start, span.end)
        for span in spans
        if span.reason in ("line", "paragraph") and not (span.reason in later and spared[span.start : span.end].any())
    ]
    pieces = [np.array(found, np.int64).reshape(-1, 2)]
    for kind, border in (("passage", settings.passages and settings.passages.border), ("contamination", "word")):
        of_kind = [span for span in spans if span.reason == kind]
        if of_kind and border:
            marked = _marks(len(data), of_kind)
            pieces.append(borders.whole(data, marked & free if kind == "passage" else marked, border))
    return [Edit(start, end, "repeated") for start, end in borders.closed(data, np.concatenate(pieces)).tolist()]


def _marks(size: int, spans: list[Edit]) -> NDArray[np.bool_]:
    """Which of `size` bytes are in a span."""
    marks = np.zeros(size, bool)
    for span in spans:
        marks[span.start : span.end] = True
    return marks
