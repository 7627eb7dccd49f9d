"""The stage `pack`: the corpus as tokens, packed into the rows of shards."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import reduce
from importlib.metadata import version
from operator import xor
from typing import Any

from pipelines import buckets, datasets, encoded, pack, texts
from pipelines.config import Config
from pipelines.encoded import Sums
from pipelines.errors import ConfigError, GristmillError
from pipelines.ledger import Stage, digest
from pipelines.run import Run, Step
from pipelines.tokenizer_stage import tokenizer
from shards.format import FillInTheMiddle, SetHeader
from shards.manifest import write_manifest
from shards.packing_report import PackingReport, add_up
from tokenizer.encode import load
from tokenizer.vocabulary import (
    BEGIN_OF_TEXT,
    END_OF_TEXT,
    FILL_IN_THE_MIDDLE,
    PADDING,
    read_tokenizer,
    sha256,
    token_bytes,
)

SPLITS = ("train", "validation", "test")


def packed(run: Run) -> None:
    """corpus/ and tokenizer/ to shards/, by way of tokens/."""
    config = [run.config.pack.model_dump(exclude={"engine"}), run.config.seed, config_hash(run.config)]
    stage = run.stage("pack", config=config, code=[pack.VERSION, version("tokenizers")])
    if stage.is_fresh():
        return
    header = shard_header(run)
    chunks = {
        digest([stage.fingerprint, names]): names
        for names in datasets.by_size(datasets.files(run.output, "corpus"), run.config.chunk_bytes)
    }
    missing = stage.begin([*chunks, stage.fingerprint])
    if stage.fingerprint in missing:
        encode(run, stage, {key: chunks[key] for key in missing[:-1]}, header)
        write_shards(run, stage, header)
    stage.drop(list(chunks))
    (facts,) = stage.chunk_facts()
    run.say(f"pack: {facts['tokens']:,} tokens in {facts['rows']:,} rows of {facts['files']} shards")
    stage.finish(facts)


def encode(run: Run, stage: Stage, chunks: dict[str, list[str]], header: SetHeader) -> None:
    """Files of corpus/ to tokens/, chunk by chunk."""
    if not chunks:
        return
    settings, folder = run.config.pack.fill_in_the_middle, stage.staging()
    by_source = run.config.pack.bucket == "source"
    if not by_source:
        buckets.write(run.spark, run.output, run.config.pack.bucket, folder)
    arguments = {
        "tokenizer": str(run.output / "tokenizer"),
        "header": header.model_dump(),
        "buckets": None if by_source else str(folder),
        "middle_last": [] if settings is None else settings.sources_of(run.config.sources),
        "seed": run.config.seed,
        "engine": run.config.pack.engine,
    }
    for key, files in chunks.items():
        _encode_chunk(run, stage, key, files, arguments)
    shutil.rmtree(folder)


def _encode_chunk(run: Run, stage: Stage, key: str, files: list[str], arguments: dict[str, Any]) -> None:
    """Some files of corpus/ to tokens/; all of them by the reference where an engine was found to differ in any."""
    transform, staging = "pipelines.encode:encoder", stage.staging()
    rows = texts.write(run.spark, files, staging, key[:16], transform, arguments)
    report = encoded.take(staging)
    if report["differed"]:
        run.say(f"pack: encoded once more by the reference, since {'; '.join(report['reasons'])}")
        shutil.rmtree(staging)
        staging = stage.staging()
        rows = texts.write(run.spark, files, staging, key[:16], transform, arguments | {"engine": "reference"})
        report["sums"] = encoded.take(staging)["sums"]
    stage.commit(key, staging, {"rows": {"tokens": rows.get("tokens", 0)}, "encoded": report})
    run.say(f"pack: {rows.get('tokens', 0):,} documents encoded")


def write_shards(run: Run, stage: Stage, header: SetHeader) -> None:
    """tokens/ to shards/, with facts: tokens by source and split, what packing did, which engines encoded."""
    staging = stage.staging()
    engines = encoded.total(chunk["encoded"] for chunk in stage.chunk_facts())
    expected = engines.pop("sums")
    shards = pack.plan(expected, header, run.config.pack.shard_bytes)
    files = datasets.files(run.output, "tokens")
    written = pack.write(run.spark, files, shards, header, run.config.seed, staging / "shards")
    _check(written, expected, header)
    write_manifest(staging / "shards", header, [shard.entry for shard in written], SPLITS)
    sources: dict[str, Counter[str]] = {}
    for row in expected:
        sources.setdefault(row.source, Counter())[row.split] += row.tokens
    total = add_up(shard.report for shard in written)
    facts = {"tokens": total.tokens, "rows": total.rows, "files": len(written), "sources": sources}
    stage.commit(stage.fingerprint, staging, facts | {"packing": _packing(written), "engines": engines})


def _packing(written: list[pack.Packed]) -> dict[str, Any]:
    """The packing report of each split."""
    by_split: dict[str, list[PackingReport]] = {}
    for shard in written:
        by_split.setdefault(shard.entry.split, []).append(shard.report)
    return {split: add_up(reports).model_dump(mode="json") for split, reports in sorted(by_split.items())}


def _check(written: list[pack.Packed], expected: list[Sums], header: SetHeader) -> None:
    """Raise GristmillError unless the rows of the shards, put back together by document, are the documents."""
    total = add_up(shard.report for shard in written)
    for name, wanted, found in (
        ("documents", sum(row.documents for row in expected), total.documents),
        ("tokens", sum(row.tokens for row in expected), total.tokens),
        ("tokens left out", sum(row.dropped for row in expected), total.dropped),
        ("places", total.rows * header.width, sum(shard.entry.tokens + shard.entry.padding for shard in written)),
    ):
        if wanted != found:
            raise GristmillError(f"pack: {wanted:,} {name} were to be packed, but the shards hold {found:,}")
    if reduce(xor, (row.fingerprint for row in expected), 0) != reduce(xor, (s.fingerprint for s in written), 0):
        raise GristmillError("pack: the shards hold other tokens than the documents, though as many")


def shard_header(run: Run) -> SetHeader:
    """What all shards of the run say of themselves."""
    encoder = load(run.output / "tokenizer")
    return SetHeader(
        tokenizer_sha256=sha256(run.output / "tokenizer"),
        vocabulary_size=encoder.vocabulary_size,
        context_length=run.config.pack.context,
        special_ids=encoder.special_ids,
        bos=BEGIN_OF_TEXT,
        eos=END_OF_TEXT,
        padding=PADDING,
        adds_bos=True,
        adds_eos=True,
        packing=run.config.pack.policy,
        fill_in_the_middle=_fill_in_the_middle(run, encoder.special_ids),
        config_hash=config_hash(run.config),
    )


def _fill_in_the_middle(run: Run, special_ids: dict[str, int]) -> FillInTheMiddle | None:
    """What the config asks for, with its sentinels. Raises ConfigError for a tokenizer that cannot do it."""
    settings = run.config.pack.fill_in_the_middle
    if settings is None:
        return None
    for token in FILL_IN_THE_MIDDLE:
        if token not in special_ids:
            raise ConfigError(
                f"pack.fill_in_the_middle: the tokenizer has no special token {token!r}; "
                "add it to tokenizer.special_tokens"
            )
    if read_tokenizer(run.output / "tokenizer").get("normalizer") is not None:
        raise ConfigError(
            "pack.fill_in_the_middle: the tokenizer normalizes texts, so they cannot be cut at its tokens"
        )
    try:
        token_bytes(run.output / "tokenizer")
    except ValueError as error:
        raise ConfigError(f"pack.fill_in_the_middle: {error}") from error
    prefix, middle, suffix = FILL_IN_THE_MIDDLE
    return FillInTheMiddle(rate=settings.rate, spm_rate=settings.spm_rate, prefix=prefix, middle=middle, suffix=suffix)


def config_hash(config: Config) -> str:
    """Digest of all of the config that decides what is in the shards: no path, no setting of a machine."""
    benchmarks = {"contamination": {"benchmarks"}}  # files of the user's machine
    left_out: dict[str, Any] = {
        "output": True,
        "spark": True,
        "chunk_bytes": True,
        "removals": True,
        "repeats": benchmarks,
        "pack": {"engine"},  # all give the same tokens
    }
    page = config.model_dump(exclude=left_out, mode="json")
    page.pop("pretrain", None)
    page["dedup"] |= {"indexes": list(config.dedup.indexes), "in_memory_documents": 0, "in_memory_pairs": 0}
    for source in page["sources"]:
        del source["paths"], source["root"]
    return digest(page)


STEPS: dict[str, Step] = {"tokenizer": tokenizer, "pack": packed}
