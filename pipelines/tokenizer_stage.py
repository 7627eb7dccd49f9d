"""The stage `tokenizer`: from the training split to tokenizer/, by way of pretokens/, which is removed at its end."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from typing import Any

from tokenizers import Tokenizer

from pipelines import datasets, texts, vocabulary
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import Stage, digest
from pipelines.run import Run
from pipelines.vocabulary import Groups
from tokenizer import report, train
from tokenizer.count import MOST_WEIGHT
from tokenizer.models import train_unigram, train_wordpiece
from tokenizer.report_corpus import corpus_texts
from tokenizer.tally import Tally

REPORT_BYTES = 50_000_000
"""About how much of the training split the report measures."""

TRAINER_BYTES = 100_000_000
"""About how much text WordPiece and Unigram are learnt from where the config does not say."""


def tokenizer(run: Run) -> None:
    """The pre-tokens of corpus/split=train to tokenizer/."""
    settings = run.config.tokenizer
    config = [settings.model_dump(), run.config.seed]
    stage = run.stage("tokenizer", config=config, code=[vocabulary.VERSION, version("tokenizers")])
    if stage.is_fresh():
        return
    files = datasets.files(run.output, "corpus/split=train")
    if not files:
        raise GristmillError("tokenizer: the training split is empty; lower split.validation and split.test")
    chunks = {digest([stage.fingerprint, names]): names for names in datasets.by_size(files, run.config.chunk_bytes)}
    missing = stage.begin([*chunks, stage.fingerprint])
    if stage.fingerprint in missing:
        _count(run, stage, {key: chunks[key] for key in missing[:-1]}, files)
        _learn(run, stage, list(chunks))
    stage.drop(list(chunks))
    (facts,) = stage.chunk_facts()
    counted = facts["counted"]
    left_out = f", which leaves out {counted['share_left_out']:.2%} of it" if counted["share_left_out"] else ""
    run.say(
        f"tokenizer: {facts['entries']:,} entries from {counted['pretokens_kept']:,} pre-tokens of "
        f"{counted['text_bytes']:,} bytes of text{left_out}"
    )
    stage.finish(facts)


def _count(run: Run, stage: Stage, chunks: dict[str, list[str]], files: list[str]) -> None:
    """Files of corpus/ to pretokens/, chunk by chunk."""
    if not chunks:
        return
    settings, languages = run.config.tokenizer, stage.staging() / "languages"
    size = settings.sample_bytes
    arguments = {
        "pattern": settings.pattern,
        "weights": settings.weights.model_dump(),
        "languages": str(languages) if vocabulary.write_languages(run.spark, run.output, languages) else None,
        "bound": 1 << 64 if size is None else vocabulary.sample_bound(run.spark, run.output, files, size),
        "seed": run.config.seed,
    }
    for key, names in chunks.items():
        staging = stage.staging()
        transform = "pipelines.vocabulary:counter"
        texts.write(run.spark, names, staging, key[:16], transform, arguments, vocabulary.TASK_BYTES)
        groups = vocabulary.groups(staging / "counted")
        shutil.rmtree(staging / "counted", ignore_errors=True)
        stage.commit(key, staging, {"groups": [[*group, *sums] for group, sums in groups.items()]})
        run.say(f"tokenizer: {sum(count for count, _ in groups.values()):,} documents counted")
    shutil.rmtree(languages.parent)


def _learn(run: Run, stage: Stage, keys: list[str]) -> None:
    """pretokens/ to tokenizer/, with facts: what was counted, and what the report says of it."""
    settings = run.config.tokenizer
    weights = vocabulary.scaled(settings.weights)
    groups = _groups(stage, keys)
    if sum(size * weights.weight(*group) for group, (_, size) in groups.items()) >= MOST_WEIGHT:
        raise ConfigError(
            "tokenizer.weights: the texts count more than 2^62 bytes; give smaller factors or fewer decimals"
        )
    sums = stage.staging()
    partial = datasets.files(run.output, "pretokens")
    found = vocabulary.tally(run.spark, partial, sums / "sums", settings.min_count, weights.scale) if partial else None
    if found is None or not len(found.counts):
        least = f"no pre-token counts {settings.min_count}" if found else "there is no text in it"
        raise GristmillError(f"tokenizer: nothing to learn from in the training split: {least}")
    shutil.rmtree(sums)
    staging = stage.staging()
    train.save(_trained(run, found, weights.scale), staging / "tokenizer")
    measured = report.report(staging / "tokenizer", corpus_texts(run.output, REPORT_BYTES))
    report.write_report(measured, staging / "tokenizer")
    facts = {"entries": measured["vocabulary_size"], **measured["total"], "groups": measured["groups"]}
    stage.commit(stage.fingerprint, staging, facts | {"counted": _counted(run, found, groups, weights.scale)})


def _trained(run: Run, found: Tally, scale: int) -> Tokenizer:
    """The tokenizer that the config asks for: a BPE of the counts, or another model of a sample of the texts."""
    settings = run.config.tokenizer
    special_tokens = settings.all_special_tokens()
    if settings.model == "bpe":
        trained = train.train_on_counts(
            found.pretokens,
            found.counts,
            settings.vocab_size,
            settings.pattern,
            special_tokens,
            min_frequency=settings.min_frequency * scale,
            tie_break=settings.tie_break,
        )
    else:
        sample = corpus_texts(run.output, settings.sample_bytes or TRAINER_BYTES)
        read = (text for _, group in sample for text in group)
        if settings.model == "wordpiece":
            frequency = settings.min_frequency
            trained = train_wordpiece(read, settings.vocab_size, settings.pattern, special_tokens, frequency)
        else:
            trained = train_unigram(read, settings.vocab_size, settings.pattern, special_tokens)
    return train.padded(trained, settings.pad_to_multiple_of) if settings.pad_to_multiple_of else trained


def _groups(stage: Stage, keys: list[str]) -> Groups:
    """Texts and bytes by source and language, of all chunks."""
    total: Groups = {}
    for key in keys:
        for source, language, texts_, size in stage.entry["chunks"][key]["facts"]["groups"]:
            before = total.get((source, language), (0, 0))
            total[source, language] = (before[0] + texts_, before[1] + size)
    return dict(sorted(total.items()))


def _counted(run: Run, found: Tally, groups: Groups, scale: int) -> dict[str, Any]:
    """What the vocabulary was learnt from; `bytes` are weighted, `text_bytes` are not."""
    sources: dict[str, dict[str, dict[str, int]]] = {}
    for (source, language), (count, size) in groups.items():
        sources.setdefault(source, {})[language] = {"texts": count, "bytes": size}
    return found.facts() | {
        "bytes": found.bytes / scale,
        "texts": sum(count for count, _ in groups.values()),
        "text_bytes": sum(size for _, size in groups.values()),
        "sample_bytes": run.config.tokenizer.sample_bytes,
        "weights": run.config.tokenizer.weights.model_dump(),
        "sources": sources,
    }
