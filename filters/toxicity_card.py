"""Measure the toxicity model on what it was not trained on, and write its card."""

import platform
import re
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.batch import TextBatch
from filters.fasttext_model import FastTextModel
from filters.ranking import average_precision, roc_auc
from filters.toxicity import THRESHOLD, Toxicity, features, passages, scores
from filters.toxicity_training import VALIDATION, Example, read_book, read_pages, train

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
DATASETS = list(dict.fromkeys(dataset for _, dataset, _ in READINGS))
# The group that a template speaks of: "Ling is a rotten latino", "Being old is nasty.", "i hate sikh".
GROUP = re.compile(r"(?:.* (?:is|are) an? \w+ |Being |i \w+ )(.*?)(?: is \w+)?\W*")
FEWEST = 10  # of each label, for a ROC AUC of a group
CODE_EVERY = 20  # passages

Scorer = Callable[[Iterable[Example]], NDArray[np.float64]]


def write_card(data: Path, examples: list[Example], model: Path, digest: str) -> None:
    """Write the card beside the model's file, which has this SHA-256."""
    held_back = [example for example in examples if example.held_back]
    own = scorer(model)
    unseen = {dataset: _without(dataset, examples) for dataset in DATASETS}
    rows = []
    for name, part in readings(held_back):
        toxic, scores = np.array([e.toxic for e in part]), own(part)
        never = unseen[part[0].dataset](part)
        rows.append(
            f"| {name} | {toxic.sum()} + {(~toxic).sum()} | {roc_auc(toxic, scores):.3f} "
            f"| {average_precision(toxic, scores):.3f} | {_share(scores[toxic])} | {_share(scores[~toxic])} "
            f"| {roc_auc(toxic, never):.3f} |"
        )
    card = _CARD.format(
        digest=digest,
        size=model.stat().st_size,
        labelled="\n".join(rows),
        groups="\n".join(
            [
                *_groups("ToxiGen", [e for e in examples if e.dataset == "toxigen"], unseen["toxigen"]),
                *_groups("Templates", [e for e in held_back if e.dataset == "templates"], own),
                *_groups("GermEval", [e for e in held_back if e.dataset == "germeval2018"], own),
            ]
        ),
        clean="\n".join(_clean(data, held_back, model, digest)),
        python=platform.python_version(),
    )
    model.with_suffix(".md").write_text(card, encoding="utf-8")


def validate(examples: list[Example]) -> list[str]:
    """What a model that was trained without the validation part does there: a line for each reading and clean set."""
    part = [example for example in examples if example.fold == VALIDATION]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        train((example for example in examples if example.fold != VALIDATION), path)
        own = scorer(path)
    ranked = [(name, roc_auc(np.array([e.toxic for e in some]), own(some))) for name, some in readings(part)]
    flagged = [(name, _share(own(e for e in part if e.dataset == name))) for name in ("books", "pages", "sentences")]
    return [f"{name}: ROC AUC {auc:.3f}" for name, auc in ranked] + [
        f"{name}: {share} flagged" for name, share in flagged
    ]


def readings(examples: list[Example]) -> list[tuple[str, list[Example]]]:
    """Each of `READINGS` with the examples that it is about."""
    return [
        (name, [e for e in examples if e.dataset == dataset and (not details or e.detail in details)])
        for name, dataset, details in READINGS
    ]


def scorer(path: Path) -> Scorer:
    """A function from examples to the scores that the model in this file gives their texts, each as one passage."""
    model = FastTextModel(path)
    return lambda examples: scores(model, [features(example.text) for example in examples])


def _without(dataset: str, examples: list[Example]) -> Scorer:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ftz"
        train((example for example in examples if example.dataset != dataset), path)
        return scorer(path)


def _share(scores: NDArray[np.float64]) -> str:
    return f"{(scores > THRESHOLD).mean():.2%}"


def _groups(name: str, examples: list[Example], scores_of: Scorer) -> list[str]:
    by_group = defaultdict(list)
    for example in examples:
        # GermEval's names are of kinds of offense, each held against all that is none.
        kinds = ["abuse", "insult", "profanity"] if example.dataset == "germeval2018" else []
        match = GROUP.fullmatch(example.text) if example.dataset == "templates" else None
        group = (match[1].lower() if match else "") if example.dataset == "templates" else example.detail
        for each in kinds if group == "other" else [group]:
            by_group[each].append(example)
    rows = []
    for group, part in sorted(by_group.items()):
        toxic = np.array([e.toxic for e in part])
        if min(toxic.sum(), (~toxic).sum()) < FEWEST:
            continue
        scores = scores_of(part)
        rows.append(
            f"| {name}: {group.replace('_', ' ')} | {toxic.sum()} + {(~toxic).sum()} | {roc_auc(toxic, scores):.3f} "
            f"| {_share(scores[toxic])} | {_share(scores[~toxic])} |"
        )
    return rows


def _clean(data: Path, held_back: list[Example], model: Path, digest: str) -> list[str]:
    """Passages that are presumed clean, and whole documents, read as a pipeline reads them."""
    own = scorer(model)
    rows = []
    for dataset in ("books", "pages", "sentences"):
        scores = own(e for e in held_back if e.dataset == dataset)
        rows.append(f"| passages of {dataset}, held back | {len(scores)} | {_share(scores)} |")
    books = [read_book(path) for path in sorted(data.glob("books/**/*.*")) if path.is_file()]
    pages = [text for uri, text in read_pages(data) if Example("pages", text, False, uri, uri).held_back]
    code = [path.read_text("utf-8", "replace") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    every = [("books, all of them", books, 1), ("Python's standard library", code, CODE_EVERY)]
    for name, texts, step in every:
        cut = [Example("", passage, False, "", "") for text in texts for passage in list(passages(text))[::step]]
        rows.append(f"| passages of {name} | {len(cut)} | {_share(own(cut))} |")
    family = Toxicity(model=model, sha256=digest)
    wholes = [
        ("whole books, all of them", books),
        ("whole pages, held back", pages),
        ("whole modules of Python's standard library", code),
    ]
    for name, texts in wholes:
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

## What counts as toxic

Hate and insult, and profanity that is thrown at somebody. Davidson's "offensive" counts: a page that consists of such
tweets is to go. It is the milder reading, so the tables show both: hate and offensive against neither, and hate alone
against neither, with what is offensive left out. Likewise a comment counts that half or more of its raters call toxic;
the second reading keeps only those about whom all raters agree.

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

**Split:** by a hash, one group in five is reported here and one is the validation part. A group is a text without
user names and links (so that a repeated tweet stays on one side), a book, a page, or, of the templates, one kind or
unkind word with all its sentences. Parameters were chosen on the validation part with models that saw neither; three
candidates, this one among them, were also measured on the reported part before the choice was final, which may
flatter it a little. The model that ships learnt from four fifths. The column "never seen" has models with the same
parameters that were trained without any text of that data set.

## Labelled text, held back

Caught and flagged: share of toxic and of clean examples that score above {THRESHOLD}.

| data set | toxic + clean | ROC AUC | average precision | caught | flagged | ROC AUC, data set never seen |
|---|---|---|---|---|---|---|
{{labelled}}

## Groups that the data name

ToxiGen: all statements, by the model that never saw ToxiGen. Templates: sentences about a group with kind and unkind
words that were held back. GermEval: each kind of offense, held back, against all tweets that are none. Groups with
fewer than {FEWEST} examples of either label are left out.

| group | toxic + clean | ROC AUC | caught | flagged |
|---|---|---|---|---|
{{groups}}

## Presumably clean text, at the default threshold of {THRESHOLD}

The standard library is Python {{python}}'s, every {CODE_EVERY}th passage. No code was trained on.

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
- It has learnt that some groups are named mostly in hate: it flags many kind sentences about gay, queer and trans
  people (see the groups), though it ranks the unkind ones higher.
- A single passage above the threshold says little. Of 100 such passages of pages that it never saw, labelled by one
  reader who read at least their first halves, 12 insult, 3 swear, 19 report or discuss hate and 66 are neither. No
  whole page of the 3,984 that were tried goes above it; the rule asks for the mean over the text for that reason.
- "Presumed clean" was not checked by hand; novels of the 19th century hold slurs and their pages count as clean.
"""
