"""Every rule of Gopher, C4 and FineWeb, document by document: ours and datatrove 0.10.1's.

The texts are web pages and novels (peers/texts.py), normalized as ingest writes them; both read the same. Ours are the
shipped rule sets over the shipped signals. datatrove's are its own filters with their default thresholds, each rule
asked of every document (peers/run_datatrove_filters.py), words by the tokenizer that it assigns to the language.

For each rule: how many documents it drops on either side, and the Jaccard index of the two sets; null where it drops
none. `same_units` is the index where datatrove's filters are given our words instead of its tokenizer's, and our lines:
where that is 1, what counts as a word, a line or the end of a sentence is all that differs. Rules made for English
words are compared on English documents, the shortest mean word where words have spaces. C4's rules are asked of what
its line edits leave, in both published readings and in FineWeb's (the paper's without end marks); `same_lines` is the
share of lines that stay in both, of those that stay in either.

`recipe` is FineWeb's: the documents kept of those that are English by our language signal at 0.65, by all four rule
sets. datatrove asks Gopher's rules of the text before C4's line edits, ours asks all rules of the text after them;
`recipe_in_its_order` has them in its order, `recipe_but_for_alphabetic` leaves few_alphabetic_words out on both sides.

For each rule whose sets differ, up to three documents are printed with both values. A rule under 0.95 has its
difference in definition named in DIFFERENCES; one that is not named there is listed in `unexplained`, and the status
is 1. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import planted
import pyarrow as pa
import pyarrow.parquet as pq
from peers import rulesets, texts
from peers.environment import environment, versions
from peers.process import measured
from peers.rulesets import C4_CODE, C4_PAPER, FINEWEB, FINEWEB_RULES, RuleSets

from filters.batch import TextBatch

HERE = Path(__file__).parent
WANTED = 0.95
ENGLISH_SCORE = 0.65  # FineWeb's language gate
UNSPACED = ("zho", "jpn", "tha", "khm", "lao", "mya")
WHOLE_TEXT = ("gopher_quality", "gopher_repetition", "fineweb", "fineweb_paper", "mc4")
READINGS = {"c4": ("c4", C4_CODE), "c4_paper": ("c4_paper", C4_PAPER), "c4_fineweb": ("c4_paper", FINEWEB)}
"""C4's readings: rule set and line edits."""

ALPHABETIC = "gopher_quality.few_alphabetic_words"
SHOWN = 3  # documents
OURS_ALONE = ("c4.long_word", "c4.too_long")
"""Rules that datatrove's filters do not have."""

_WORDS = "Words: to datatrove punctuation marks, 's and n't are words, and case counts; ours are Unicode's, case-folded"
_MARKS = "Denominator: datatrove counts punctuation marks as words, ours counts words"
_BLANK = "Denominator: datatrove counts blank lines, ours does not"
_INDENT = "Lines: datatrove compares them with their indentation, ours without"
_QUOTES = "A line's end: in ours quotation marks end it, as in FineWeb's release; datatrove 0.10.1's default has none"
DIFFERENCES = {
    "gopher_quality.too_few_words": _WORDS,
    "gopher_quality.short_words": _WORDS,
    "gopher_quality.bullet_lines": _BLANK,
    "gopher_quality.ellipsis_lines": _BLANK,
    ALPHABETIC: _MARKS,
    "gopher_quality.few_stop_words": "Case: 'The' is a stop word in ours",
    "gopher_repetition.dup_line_chars": _INDENT,
    **{f"gopher_repetition.top_{n}gram": _WORDS for n in (2, 3, 4)},
    **{f"gopher_repetition.dup_{n}gram": _WORDS for n in range(5, 11)},
    **{f"{name}.few_terminal_punct_lines": _QUOTES for name in ("fineweb", "fineweb_paper")},
    **{f"{name}.dup_line_chars": _INDENT for name in ("fineweb", "fineweb_paper")},
    **{f"{name}.many_newlines": _MARKS for name in ("fineweb", "fineweb_paper")},
    "c4_fineweb.few_sentences": "Words of a line: to datatrove a Chinese line is one word, so it goes",
    **dict.fromkeys(
        ("c4.curly_bracket", "c4_fineweb.curly_bracket"),
        "Words of a line: datatrove splits at white space, so that a line with '{' is cut in one of the two only",
    ),
    **dict.fromkeys(("recipe", "recipe_in_its_order"), f"few_alphabetic_words. {_MARKS}"),
}
"""How the definition behind a rule differs, where the sets of dropped documents overlap by less than WANTED."""

Values = dict[str, Any]


def write_texts(path: Path) -> tuple[list[texts.Text], list[Values]]:
    """The texts as a Parquet file for datatrove; names with texts, and the language signals of each."""
    found = [*texts.gold(), *texts.labelled(), *texts.novels()]
    batch = TextBatch(texts.array(found))
    languages = rulesets.languages(batch)
    table = pa.table(
        {
            "name": [name for name, _ in found],
            "language": [f"{language['code']}_{language['script']}" for language in languages],
            "text": batch.texts,
            "words": rulesets.words(batch),
        }
    )
    pq.write_table(table, path, row_group_size=500)
    return found, languages


def is_english(language: Values) -> bool:
    return language["code"] == "eng" and language["score"] > ENGLISH_SCORE


def ours(found: list[texts.Text], languages: list[Values]) -> list[Values]:
    """Of each document: `fired` (rules that drop it), `signals` by rule, `lines` by C4 reading, `recipe` verdicts."""
    batch = TextBatch(texts.array(found))
    sets = RuleSets(*WHOLE_TEXT)
    before = rulesets.signals(batch, languages)
    rows: list[Values] = [
        {"fired": sets.fired(row), "signals": {rule: sets.asked(rule, row) for rule in sets.predicates}, "lines": {}}
        for row in before
    ]
    for reading, (name, edits) in READINGS.items():
        sets = RuleSets(name)
        view = rulesets.edited(batch, edits)
        after = rulesets.signals(view, languages)
        for row, values, text in zip(rows, after, view.texts.to_pylist()):
            row["fired"] |= {rule.replace(name, reading, 1) for rule in sets.fired(values)}
            row["signals"] |= {rule.replace(name, reading, 1): sets.asked(rule, values) for rule in sets.predicates}
            row["lines"][reading] = text.split("\n")
    gopher, own, recipe = (RuleSets(*names) for names in (FINEWEB_RULES[:2], FINEWEB_RULES[2:], FINEWEB_RULES))
    for row, whole, values in zip(rows, before, after):  # the last reading is FineWeb's
        row["recipe"] = recipe.fired(values)
        row["recipe_in_its_order"] = gopher.fired(whole) | own.fired(values)
    return rows


def theirs(texts_path: Path, work: Path, python: Path, kind: str, limit: float) -> list[Values]:
    """What datatrove's filters say of each document: see peers/run_datatrove_filters.py."""
    out = work / f"{kind}.jsonl"
    command: list[str | Path] = [python, HERE / "peers" / "run_datatrove_filters.py", kind, texts_path, out]
    measured(command, work / f"{kind}.log", 1, limit=limit)
    return [json.loads(line) for line in out.open()]


def asked(rule: str, language: Values) -> bool:
    """Whether a rule is compared on a document in this language."""
    if rule == "gopher_quality.few_stop_words":
        return bool(language["code"] == "eng")
    return rule != "gopher_quality.short_words" or language["code"] not in UNSPACED


def overlap(a: set[int], b: set[int]) -> float | None:
    return round(len(a & b) / len(a | b), 4) if a | b else None


def stripped(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.strip()]


def fires(row: Values, rule: str) -> bool:
    """Whether datatrove's rule drops a document."""
    return bool(row["rules"].get(rule, (None, False))[1])


def figures(a: set[int], b: set[int]) -> Values:
    return {"ours": len(a), "theirs": len(b), "both": len(a & b), "jaccard": overlap(a, b)}


def compare(rule: str, documents: list[int], mine: list[Values], its: list[Values], units: list[Values]) -> Values:
    """The sets that a rule drops, as figures, and up to three documents that are in one of them only."""
    a = {at for at in documents if rule in mine[at]["fired"]}
    b, c = ({at for at in documents if fires(rows[at], rule)} for rows in (its, units))
    row = figures(a, b)
    if rule in units[0]["rules"]:
        row["same_units"] = overlap(a, c)
    row["shown"] = [
        {
            "document": its[at]["name"],
            "dropped_by": "ours" if at in a else "theirs",
            "our_signals": mine[at]["signals"][rule],
            "their_value": its[at]["rules"][rule][0],
            "their_value_in_our_units": units[at]["rules"].get(rule, (None,))[0],
        }
        for at in sorted(a ^ b)[:SHOWN]
    ]
    return row


def recipe(key: str, but_for: str, english: list[int], mine: list[Values], its: list[Values]) -> Values:
    """The kept sets of FineWeb's recipe, a rule left out."""
    chain = ("gopher_repetition.", "gopher_quality.", "c4_fineweb.", "edited.fineweb.")
    failed = {
        at: {rule for rule, (_, fired) in its[at]["rules"].items() if fired and rule.startswith(chain)} - {but_for}
        for at in english
    }
    a, b = {at for at in english if not mine[at][key] - {but_for}}, {at for at in english if not failed[at]}
    shown = [
        {
            "document": its[at]["name"],
            "our_failed_rules": sorted(mine[at][key]),
            "their_failed_rules": sorted(failed[at]),
        }
        for at in sorted(a ^ b)[:SHOWN]
    ]
    return {**figures(a, b), "shown": shown}


def same_lines(reading: str, mine: list[Values], its: list[Values]) -> float:
    """Lines that stay in both, per line that stays in either."""
    both = either = 0
    for row, other in zip(mine, its):
        a, b = (Counter(stripped(found["lines"][reading])) for found in (row, other))
        both, either = both + (a & b).total(), either + (a | b).total()
    return round(both / either, 4)


def show(rule: str, row: Values) -> None:
    print(f"{rule:42} ours {row['ours']:5} theirs {row['theirs']:5} both {row['both']:5} jaccard {row['jaccard']}"
          + (f" in our units {row['same_units']}" if "same_units" in row else ""), flush=True)  # fmt: skip
    if row["shown"] and rule in DIFFERENCES:
        print(f"    {DIFFERENCES[rule]}")
    for document in row["shown"]:
        print("    " + json.dumps(document, ensure_ascii=False))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, default=planted.CACHE, help="directory of the peers' environments")
    parser.add_argument("--limit", type=float, default=7_200, help="seconds after which datatrove is given up")
    given = parser.parse_args()
    work = given.cache.resolve() / "work-parity"
    work.mkdir(parents=True, exist_ok=True)
    python = environment("datatrove-filters", given.cache.resolve())
    found, languages = write_texts(work / "texts.parquet")
    mine = ours(found, languages)
    its, units = (theirs(work / "texts.parquet", work, python, kind, given.limit) for kind in ("values", "units"))
    rules = [rule for rule in mine[0]["signals"] if rule not in OURS_ALONE]
    table = {}
    for rule in rules:
        documents = [at for at, language in enumerate(languages) if asked(rule, language)]
        table[rule] = compare(rule, documents, mine, its, units)
    english = [at for at, language in enumerate(languages) if is_english(language)]
    for key in ("recipe", "recipe_in_its_order"):
        table[key] = recipe(key, "", english, mine, its)
    table["recipe_but_for_alphabetic"] = recipe("recipe", ALPHABETIC, english, mine, its)
    for rule, row in table.items():
        show(rule, row)
        del row["shown"]
    below = [rule for rule, row in table.items() if row["jaccard"] is not None and row["jaccard"] < WANTED]
    told = {
        "documents": len(found),
        "english_documents": len(english),
        "rules": table,
        "same_lines": {reading: same_lines(reading, mine, its) for reading in READINGS},
        "below_wanted": below,
        "unexplained": [rule for rule in below if rule not in DIFFERENCES],
        "cores": 1,
        "machine_cores": os.cpu_count(),
        "versions": {"gristmill": version("gristmill")}
        | versions(python, ["datatrove", "spacy", "jieba", "sudachipy"]),
    }
    print(json.dumps(told))
    return 1 if told["unexplained"] else 0


if __name__ == "__main__":
    sys.exit(main())
