"""Train the classifier of text blocks: `python -m pipelines.ingest.extraction.training DATA`.

DATA holds labelled.jsonl.gz (`uri`, `with`, `without`) and labelled-*.warc.gz. Needs LightGBM, which nothing else does.
Writes models/blocks.npz and models/blocks.md, its card, with figures of cross-validation by site. Of two sets of trees
the second sees what the first says of a block's surroundings, in training always trees that did not see the block's
site.
"""

from __future__ import annotations

import argparse
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.ingest.extraction import features, model
from pipelines.ingest.extraction.agreement import agreement
from pipelines.ingest.extraction.charset import decode_page
from pipelines.ingest.extraction.labels import Labelled, block_labels, labelled
from pipelines.ingest.extraction.page import Analysis, analyse, main_text
from pipelines.ingest.extraction.surroundings import Floats
from pipelines.ingest.extraction.trees import Trees, probability

FOLDS = 5
THRESHOLD = 0.5
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 15,
    "max_depth": 7,
    "learning_rate": 0.035,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "use_missing": False,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "verbosity": -1,
    "num_threads": 1,
}
ROUNDS = 300


class Sample(NamedTuple):
    """A page with its analysis, and the labels and weights of its blocks."""

    page: Labelled
    analysis: Analysis
    labels: Floats
    weights: Floats
    fold: int


def fold_of(site: str) -> int:
    """The fold of a site, from 0 to FOLDS - 1, by a hash."""
    return hashlib.sha256(site.encode()).digest()[0] % FOLDS


def samples(data: Path) -> list[Sample]:
    """The labelled pages, analysed."""
    found = []
    for page in labelled(data):
        analysis = analyse(decode_page(page.body, None).text)
        labels, weights = block_labels(analysis.blocks, page.inside, page.outside)
        found.append(Sample(page, analysis, labels, weights, fold_of(page.site)))
    return found


def fit(tables: list[Floats], chosen: list[Sample], seed: int = 1) -> Trees:
    """Trees that tell the labelled blocks of some pages apart, from their rows of features."""
    import lightgbm

    table = np.concatenate([rows[sample.weights > 0] for rows, sample in zip(tables, chosen)])
    labels = np.concatenate([sample.labels[sample.weights > 0] for sample in chosen])
    weights = np.concatenate([sample.weights[sample.weights > 0] for sample in chosen])
    dataset = lightgbm.Dataset(table, labels, weight=weights)
    booster = lightgbm.train({**PARAMETERS, "seed": seed}, dataset, ROUNDS)
    return as_trees(booster.dump_model()["tree_info"])


def as_trees(dumped: list[dict[str, Any]]) -> Trees:
    """LightGBM's trees as arrays: children next to each other, which a walk level by level gives."""
    roots, depths = [], []
    rows: list[tuple[int, float, int, float]] = []
    for tree in dumped:
        roots.append(len(rows))
        level, depth = [tree["tree_structure"]], 0
        while level:
            below = [child for node in level if "split_feature" in node for child in _children(node)]
            first = len(rows) + len(level)
            for node in level:
                if "split_feature" in node:
                    rows.append((node["split_feature"], node["threshold"], first, 0.0))
                    first += 2
                else:
                    rows.append((0, np.inf, len(rows), node["leaf_value"]))
            depth += bool(below)
            level = below
        depths.append(depth)
    feature, threshold, left, value = zip(*rows)
    return Trees(
        np.array(roots, np.uint32),
        np.array(depths, np.uint32),
        np.array(feature, np.uint32),
        np.array(threshold, np.float32),
        np.array(left, np.uint32),
        np.array(value, np.float32),
    )


def _children(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node["left_child"], node["right_child"]]


def train(chosen: list[Sample], fitted: dict[frozenset[int], Trees] | None = None) -> model.Model:
    """A model trained on some pages; the second trees on guesses for each fold by trees that did not see it.

    `fitted` keeps first trees by the folds that they saw, for the next call on pages of the same sample.
    """
    fitted = {} if fitted is None else fitted
    folds = frozenset(sample.fold for sample in chosen)
    for seen in (folds, *(folds - {fold} for fold in folds)):
        if seen not in fitted:
            part = [sample for sample in chosen if sample.fold in seen]
            fitted[seen] = fit([sample.analysis.features for sample in part], part)
    stacked = []
    for sample in chosen:
        page = sample.analysis
        guess = probability(fitted[folds - {sample.fold}], page.features)
        stacked.append(agreement(page.blocks, page.nodes, page.counts, page.features, guess))
    return model.Model(fitted[folds], fit(stacked, chosen), THRESHOLD)


def cross_validated(chosen: list[Sample]) -> list[model.Model]:
    """For each fold a model trained on the other folds."""
    fitted: dict[frozenset[int], Trees] = {}
    return [train([sample for sample in chosen if sample.fold != fold], fitted) for fold in range(FOLDS)]


def passage_scores(chosen: list[Sample], models: list[model.Model]) -> tuple[float, float, float]:
    """Precision, recall and F1 over all passages, white space aside, of the text of each page by its fold's model."""
    found = missed = wrong = 0
    for sample in chosen:
        text = " ".join(main_text(sample.analysis, models[sample.fold]).split())
        held = sum(" ".join(passage.split()) in text for passage in sample.page.inside)
        found, missed = found + held, missed + len(sample.page.inside) - held
        wrong += sum(" ".join(passage.split()) in text for passage in sample.page.outside)
    return found / (found + wrong), found / (found + missed), 2 * found / (2 * found + wrong + missed)


def card(chosen: list[Sample], scores: tuple[float, float, float]) -> str:
    """The model's card, filled in."""
    labels = np.concatenate([sample.labels[sample.weights > 0] for sample in chosen])
    precision, recall, f1 = scores
    return CARD.format(
        sha256=hashlib.sha256(model.FILE.read_bytes()).hexdigest(),
        size=model.FILE.stat().st_size,
        pages=len(chosen),
        sites=len({sample.page.site for sample in chosen}),
        labels=len(labels),
        positive=int(labels.sum()),
        features=len(features.NAMES),
        precision=precision,
        recall=recall,
        f1=f1,
        folds=FOLDS,
        rounds=ROUNDS,
        parameters="\n".join(f"    {key}: {value}" for key, value in PARAMETERS.items()),
        lightgbm=version("lightgbm"),
    )


CARD = """# Classifier of text blocks

`blocks.npz`: two sets of {rounds} boosted trees and a threshold, {size:,} bytes, SHA-256
`{sha256}`.
Made by `python -m pipelines.ingest.extraction.training DATA`, which also wrote this card.

**What it is for:** telling the main text of a web page from navigation, related links, notices, forms and other
furniture, block by block. What becomes of its probabilities: `pipelines/ingest/extraction/decide.py`. **Not for:**
judging whether a text is good.

**Input:** {features} features of a block (`pipelines/ingest/extraction/features.py`): its text, its place, the elements
around it with hints in their classes and ids, neighbours, blocks of its kind. No words of any language are among them,
but the names that authors of pages give to classes are mostly English. The second set of trees also sees the
probabilities of the first in the block's surroundings.

**Trained on** passages that people marked as main text or as none on {pages} pages of {sites} sites: trafilatura's
evaluation set (Apache-2.0). They are in {labels:,} blocks, {positive:,} of them main text; other blocks were not used.
Most pages are German, then English, French, Polish and Spanish; most are articles. The pages belong to their sites;
nothing of them but the model's weights is passed on.

**Cross-validated by site** ({folds} folds; the decisions' constants were chosen with these figures in view): passages,
precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}.

**Known limits:** comments in forums and below articles are marked in few pages, so what becomes of them varies. Titles
in <h1> are often left out, as the passages do not count them. Pages that make their text by script have none here.

**Parameters** (LightGBM {lightgbm}):

{parameters}
"""


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Train the classifier of text blocks, and write it with its card")
    parser.add_argument("data", type=Path, help="directory of labelled.jsonl.gz and labelled-*.warc.gz")
    chosen = samples(parser.parse_args().data)
    scores = passage_scores(chosen, cross_validated(chosen))
    model.save(model.FILE, train(chosen))
    text = card(chosen, scores)
    model.FILE.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
