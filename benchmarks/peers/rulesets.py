"""The shipped rule sets, their predicates read by Python instead of Spark, and the line edits that go with them.

Only what the rule sets compared here use is read: comparisons, AND, OR, NOT, IN.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from filters.batch import TextBatch
from filters.c4 import C4
from filters.edits import EditedBatch, LineEdits
from filters.language import Language
from filters.quality import Quality
from filters.repetition import Repetition
from pipelines.rules import read_rule_set

FAMILIES = (Quality, Repetition, C4)
"""The families that Gopher's, C4's and FineWeb's rules ask."""

C4_CODE = ["long_word", "citation", "no_end_mark", "under_5_words", "javascript", "policy"]
C4_PAPER = ["long_word", "citation", "no_end_mark", "under_3_words", "javascript", "policy"]
FINEWEB = ["long_word", "citation", "under_3_words", "javascript", "policy"]
REFINEDWEB = ["uppercase", "numeric", "counter", "under_2_words", "items_in_cart", "read_more", "sign_in"]

FINEWEB_RULES = ("gopher_repetition", "gopher_quality", "c4_paper", "fineweb")
"""Rule sets of the FineWeb recipe, in its order."""

_SIGNAL = re.compile(r"\b[a-z]\w*\.[a-z]\w*\b")
_EQUAL = re.compile(r"(?<![<>!=])=(?!=)")
_OPERATORS = re.compile(r"\b(AND|OR|NOT|IN)\b")


class RuleSets:
    """Predicates of rule sets, compiled once."""

    def __init__(self, *names: str) -> None:
        self.predicates = {f"{name}.{rule}": text for name in names for rule, text in read_rule_set(name).items()}
        self._compiled = {rule: compile(_python(text), rule, "eval") for rule, text in self.predicates.items()}

    def fired(self, signals: dict[str, Any]) -> set[str]:
        """The rules, SET.RULE, that drop a document with these signals (`quality.words`, ...)."""
        return {rule for rule, code in self._compiled.items() if eval(code, {"signal": signals})}

    def asked(self, rule: str, signals: dict[str, Any]) -> dict[str, Any]:
        """The signals that a rule names."""
        return {name: signals[name] for name in dict.fromkeys(_SIGNAL.findall(self.predicates[rule]))}


def _python(predicate: str) -> str:
    text = _EQUAL.sub("==", _SIGNAL.sub(r'signal["\g<0>"]', " ".join(predicate.split())))
    return _OPERATORS.sub(lambda word: word[0].lower(), text)


def edited(batch: TextBatch, edits: list[str]) -> TextBatch:
    """The texts after line edits, as the annotate pass makes them."""
    cuts = LineEdits(edits).cuts(batch)
    return EditedBatch(batch, cuts) if len(cuts.texts) else batch


def signals(batch: TextBatch, languages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All signals of FAMILIES and the language of each text, by their full names."""
    rows = [{f"language.{name}": value for name, value in language.items()} for language in languages]
    for family in FAMILIES:
        measured = family()(batch)
        names = [f"{family.name}.{name}" for name in measured.schema.names]
        for row, values in zip(rows, zip(*(column.to_pylist() for column in measured.columns))):
            row |= zip(names, values)
    return rows


def languages(batch: TextBatch) -> list[dict[str, Any]]:
    return Language()(batch).to_pylist()


def words(batch: TextBatch) -> pa.ListArray:
    """The words of each text as the signals compare them, case-folded: list<string>[n]."""
    from filters.codepoints import FOLD_SHIFT, table

    folds, found = table() >> FOLD_SHIFT, batch.words
    values = [
        bytes(batch.data[start : start + length]).decode()
        for start, length in zip(found.starts.tolist(), found.lengths.tolist())
    ]
    joined = np.frombuffer("".join(values).encode("utf-32-le"), np.uint32).astype(np.int64)
    text = (joined + folds[joined]).astype(np.uint32).tobytes().decode("utf-32-le")
    ends = np.cumsum(found.chars, dtype=np.int64).tolist()
    folded = [text[start:end] for start, end in zip([0, *ends], ends)]
    return pa.ListArray.from_arrays(pa.array(found.offsets, pa.int32()), pa.array(folded, pa.string()))
