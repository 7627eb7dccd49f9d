"""Measure the toxicity model on what it was not trained on, and write its card."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.fasttext_model import FastTextModel
from filters.ranking import average_precision, roc_auc
from filters.toxicity import THRESHOLD, Toxicity, features, score
from filters.toxicity_training import Example, read_book, read_pages, train

# Name in the card, data set, details that count (none: all).
READINGS: list[tuple[str, str, tuple[str, ...]]] = [
    ("Davidson: hate or offensive, against neither", "davidson", ()),
    ("Davidson: hate, against neither", "davidson", ("hate", "neither")),
    ("Civil Comments: half or more of the raters", "civil_comments", ()),
    ("Civil Comments: all raters, against none", "civil_comments", ("unanimous",)),
    ("ToxiGen: hate, against neutral", "toxigen", ()),
    ("Templates: unkind words never seen, against kind", "templates", ()),
    ("GermEval 2018: offense, against other", "germeval2018", ()),
]

Scorer = Callable[[Iterable[Example]], NDArray[np.float64]]


def write_card(data: Path, examples: list[Example], model: Path, digest: str) -> None:
    """Write the card beside the model's file, which has this SHA-256."""
    held_back = [example for example in examples if example.held_back]
    own = _scorer(model)
    unseen = {dataset: _without(dataset, examples) for dataset in dict.fromkeys(row[1] for row in READINGS)}
    rows = []
    for name, dataset, details in READINGS:
        part = [e for e in held_back if e.dataset == dataset and (not details or e.detail in details)]
        toxic, scores = np.array([e.toxic for e in part]), own(part)
        rows.append(
            f"| {name} | {toxic.sum()} + {(~toxic).sum()} | {roc_auc(toxic, scores):.3f} "
            f"| {average_precision(toxic, scores):.3f} | {_share(scores[toxic])} | {_share(scores[~toxic])} "
            f"| {roc_auc(toxic, unseen[dataset](part)):.3f} |"
        )
    clean = []
    for dataset in ("books", "pages", "sentences"):
        scores = own(e for e in held_back if e.dataset == dataset)
        clean.append(f"| passages of {dataset}, held back | {len(scores)} | {_share(scores)} |")
    clean += _documents(data, model, digest)
    card = _CARD.format(digest=digest, size=model.stat().st_size, labelled="\n".join(rows), clean="\n".join(clean))
    model.with_suffix(".md").write_text(card, encoding="utf-8")


def _scorer(path: Path) -> Scorer:
    model = FastTextModel(path)
    return lambda examples: np.array([score(model, features(example.text)) for example in examples])


def _without(dataset: str, examples: list[Example]) -> Scorer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        train((example for example in examples if example.dataset != dataset), path)
        return _scorer(path)


def _share(scores: NDArray[np.float64]) -> str:
    return f"{(scores > THRESHOLD).mean():.2%}"


def _documents(data: Path, model: Path, digest: str) -> list[str]:
    """Whole documents, read as a pipeline reads them: all books, and the pages that were held back."""
    books = [read_book(path) for path in sorted(data.glob("books/**/*.*")) if path.is_file()]
    pages = [text for uri, text in read_pages(data) if Example("pages", text, False, uri, uri).held_back]
    family = Toxicity(model=model, sha256=digest)
    rows = []
    for name, texts in (("whole books, all of them", books), ("whole pages, held back", pages)):
        scores = family(TextBatch(pa.array(texts, pa.large_string()))).column("score").to_numpy()
        rows.append(f"| {name}, by `toxicity.score` | {len(texts)} | {_share(scores)} |")
    return rows


_CARD = rf"""# Toxicity model

`toxicity.ftz`: a fastText classifier of passages (labels `toxic` and `clean`), quantised, {{size:,}} bytes, SHA-256
`{{digest}}`.

Made by `python -m filters.toxicity_training`, which also wrote this card; parameters and clean-up are there. It scores
passages of up to 500 characters; a document's signals are defined in `filters/toxicity.py`.

**What it is for:** dropping pages that consist of insults and hate from a pretraining corpus. **Not for:** judging
persons or single sentences, or moderating what people write.

## Data

| data set | toxic is | licence |
|---|---|---|
| Davidson et al. 2017, 24,783 tweets | hate or offensive language | MIT |
| Civil Comments (of toxic_spans), 16,100 comments | half or more of the raters say toxic (\*) | CC0 |
| ToxiGen, 668 statements about groups of people | hate | MIT |
| Templates of unintended-ml-bias-analysis, 20,000 sentences | unkind words about an identity | Apache-2.0 |
| GermEval 2018, 8,541 German tweets | offense: abuse, insult, profanity | CC BY 4.0 |
| Passages of 31 novels in 9 languages (Standard Ebooks, COST ELTeC) | none: presumed clean | CC0; texts public domain |
| Passages of 1,511 web pages (dragnet, Readability) | none: presumed clean | the pages' own (\*\*) |
| Sentences in 75 languages (Leipzig corpora) | none: presumed clean | CC BY |

(\*) Comments that fewer raters call toxic, but some, are measured as clean and not trained on. (\*\*) They belong to
their sites; nothing of them but the model's weights is passed on.

**Split:** one group in five, by a hash, is held back and never trained on. A group is a text without user names and
links (so that a repeated tweet stays on one side), a book, a page, or, of the templates, one kind or unkind word with
all its sentences. Parameters were chosen among fifteen on the held-back part, which flatters it a little; the column
"never seen" has models with the same parameters that were trained without any text of that data set.

## Labelled text, held back

Caught and flagged: share of toxic and of clean examples that score above {THRESHOLD}.

| data set | toxic + clean | ROC AUC | average precision | caught | flagged | ROC AUC, data set never seen |
|---|---|---|---|---|---|---|
{{labelled}}

## Presumably clean text, at the default threshold of {THRESHOLD}

| what | count | flagged |
|---|---|---|
{{clean}}

## Known weaknesses

- It knows words and their parts, not who says what of whom: quoted, reclaimed or discussed slurs score high, hatred in
  polite words low. Look at the last column for what to expect of text unlike the training data.
- The labels are of English and German short messages. What is toxic in other languages it mostly misses (nobody
  measured it), and a word there may look like an English insult: Afrikaans "hoe" is "how".
- Davidson's "offensive" is largely profanity, often among friends and often in African American English, which the
  data over-represent among the toxic (Sap et al. 2019). The second reading shows hate alone.
- The comments of Civil Comments here were chosen to mark toxic words in, so that few of them are ordinary comments:
  that data set shows how raters disagree more than how toxic text differs from ordinary text.
- "Presumed clean" was not checked by hand; novels of the 19th century hold slurs and their pages count as clean.
"""
