"""Language identification: our family against the raw fastText model on 37,076 sentences in 75 languages.

Both run lid.176.ftz on one core, in one process. Raw is fastText's own `predict` of the whole text with its line ends
made spaces, and its label by the same table of codes. `accuracy` is the mean over the languages of the share of
sentences that get their language; a language is never worse than raw, else it is listed in `worse` and the status is 1.
`ms_per_*` are milliseconds of processor time of one text: sentences, and whole pages and novels, of which ours hears
samples of long ones. `ratio` is raw's time over ours on pages. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version

import pyarrow as pa
from fasttext.FastText import _FastText
from peers import texts

from filters.batch import TextBatch
from filters.language import MODEL, Language, code

BATCH = 2_000  # texts, as in the annotate pass


def sentences() -> tuple[list[str], list[str]]:
    """The language of each sentence, as the data name it, and the sentences."""
    with gzip.open(texts.DATA / "language" / "sentences.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
        names, found = zip(*(line.rstrip("\n").split("\t", 1) for line in lines))
    return list(names), list(found)


def by_raw(model: _FastText, found: list[str]) -> list[str]:
    return [code(model.predict(text.replace("\n", " "))[0][0].removeprefix("__label__")) for text in found]


def by_ours(family: Language, found: list[str]) -> list[str]:
    codes: list[str] = []
    for at in range(0, len(found), BATCH):
        codes += family(TextBatch(pa.array(found[at : at + BATCH])))["code"].to_pylist()
    return codes


def timed(function: Callable[[list[str]], list[str]], found: list[str], rounds: int) -> tuple[list[str], float]:
    """What a function finds, and the least processor milliseconds that it takes per text."""
    least = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        codes = function(found)
        least = min(least, time.process_time() - started)
    return codes, 1000 * least / len(found)


def accuracies(names: list[str], codes: list[str]) -> dict[str, float]:
    right: dict[str, list[bool]] = defaultdict(list)
    for name, found in zip(names, codes):
        right[name].append(found == code(name))
    return {name: sum(pairs) / len(pairs) for name, pairs in sorted(right.items())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    family, model = Language(), _FastText(model_path=str(MODEL))
    functions = {"ours": lambda found: by_ours(family, found), "raw": lambda found: by_raw(model, found)}
    by_ours(family, ["A text for the compiler."])
    names, found = sentences()
    pages = [text.text for text in (*texts.gold(), *texts.labelled())]
    novels = [text.text for text in texts.novels()]
    right, took = {}, {}
    for name, function in functions.items():
        codes, took[f"{name}_ms_per_sentence"] = timed(function, found, rounds)
        right[name] = accuracies(names, codes)
        _, took[f"{name}_ms_per_page"] = timed(function, pages, rounds)
        _, took[f"{name}_ms_per_novel"] = timed(function, novels, rounds)
    for name in right["ours"]:
        print(f"{name} ({code(name)}) ours {right['ours'][name]:.4f} raw {right['raw'][name]:.4f}")
    known = {code(label.removeprefix("__label__")) for label in model.get_labels()}
    worse = [name for name in right["ours"] if right["ours"][name] < right["raw"][name]]
    told = {
        "sentences": len(found),
        "languages": len(right["ours"]),
        **{f"{name}_accuracy": round(sum(of.values()) / len(of), 4) for name, of in right.items()},
        "better": [name for name in right["ours"] if right["ours"][name] > right["raw"][name]],
        "worse": worse,
        "not_in_the_model": [name for name in right["ours"] if code(name) not in known],
        **{name: round(value, 4) for name, value in took.items()},
        "mean_page_characters": round(sum(map(len, pages)) / len(pages)),
        "ratio": round(took["raw_ms_per_page"] / took["ours_ms_per_page"], 2),
        "accuracy": {name: {who: round(of[name], 4) for who, of in right.items()} for name in right["ours"]},
        "cores": 1,
        "versions": {name: version(name) for name in ("gristmill", "fasttext-numpy2")},
    }
    print(json.dumps(told))
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
