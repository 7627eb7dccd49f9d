"""The stages from corpus to shards: the tokenizer, and the tokens packed into rows."""

from __future__ import annotations

from functools import reduce
from importlib.metadata import version
from itertools import groupby
from operator import xor
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from pipelines import datasets, pack, sink, vocabulary
from pipelines.config import Config
from pipelines.errors import GristmillError
from pipelines.ledger import Stage, digest
from pipelines.run import Run, Step
from shards.format import SetHeader
from shards.manifest import write_manifest
from shards.packing_report import PackingReport, add_up
from tokenizer import report, train
from tokenizer.encode import load
from tokenizer.vocabulary import BEGIN_OF_TEXT, END_OF_TEXT, PADDING, sha256

SPLITS = ("train", "validation", "test")


def tokenizer(run: Run) -> None:
    """A sample of corpus/split=train to tokenizer/."""
    settings = run.config.tokenizer
    config = [settings.model_dump(), run.config.seed]
    stage = run.stage("tokenizer", config=config, code=[vocabulary.VERSION, version("tokenizers")])
    if stage.is_fresh():
        return
    if not datasets.files(run.output, "corpus/split=train"):
        raise GristmillError("tokenizer: the training split is empty; lower split.validation and split.test")
    for key in stage.begin():
        sample = vocabulary.sample(run.spark, run.output, run.config)
        sources, texts = sample["source"].to_pylist(), sample["text"].to_pylist()
        trained = train.train(texts, settings.vocab_size, settings.pattern)
        staging = stage.staging()
        train.save(trained, staging / "tokenizer")
        by_source = groupby(sorted(range(len(texts)), key=sources.__getitem__), key=sources.__getitem__)
        facts = report.report(staging / "tokenizer", {source: [texts[i] for i in rows] for source, rows in by_source})
        report.write_report(facts, staging / "tokenizer")
        stage.commit(key, staging, {"entries": facts["vocabulary_size"], **facts["total"], "groups": facts["groups"]})
    (facts,) = stage.chunk_facts()
    run.say(f"tokenizer: {facts['entries']:,} entries, trained on {facts['texts']:,} documents")
    stage.finish(facts)


def packed(run: Run) -> None:
    """corpus/ and tokenizer/ to shards/, by way of tokens/."""
    config = [run.config.pack.model_dump(), run.config.seed, config_hash(run.config)]
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
        for key in missing[:-1]:
            encode(run, stage, key, chunks[key], header)
        write_shards(run, stage, header)
    stage.drop(list(chunks))
    (facts,) = stage.chunk_facts()
    run.say(f"pack: {facts['tokens']:,} tokens in {facts['rows']:,} rows of {facts['files']} shards")
    stage.finish(facts)


def encode(run: Run, stage: Stage, key: str, files: list[str], header: SetHeader) -> None:
    """Some files of corpus/ to tokens/."""
    staging = stage.staging()
    frame = pack.documents(run.spark, run.output, files, run.config)
    arguments = {"tokenizer": str(run.output / "tokenizer"), "header": header.model_dump()}
    rows = sink.write(frame, staging, key[:16], "pipelines.pack:encoder", arguments)
    stage.commit(key, staging, {"rows": rows})
    run.say(f"pack: {rows.get('tokens', 0):,} documents encoded")


def write_shards(run: Run, stage: Stage, header: SetHeader) -> None:
    """tokens/ to shards/, with facts: tokens by source and split."""
    tokens = run.spark.read.parquet(*datasets.files(run.output, "tokens"))
    kept = F.least("count", F.lit(header.width)) if header.truncates else F.col("count")
    sums = [
        F.count("*").alias("documents"),
        F.sum(kept).alias("tokens"),
        F.sum(F.col("count") - kept).alias("dropped"),
        F.bit_xor("fingerprint").alias("fingerprint"),
    ]
    expected = tokens.groupBy("split", "source").agg(*sums).orderBy("source", "split").collect()
    staging = stage.staging()
    counts = pack.plan(tokens, header, run.config.pack.shard_bytes)
    written = pack.write(tokens, counts, header, run.config.seed, staging / "shards")
    _check(written, expected, header)
    write_manifest(staging / "shards", header, [shard.entry for shard in written], SPLITS)
    sources: dict[str, dict[str, int]] = {}
    for row in expected:
        sources.setdefault(row["source"], {})[row["split"]] = row["tokens"]
    total = add_up(shard.report for shard in written)
    facts = {"tokens": total.tokens, "rows": total.rows, "files": len(written), "sources": sources}
    stage.commit(stage.fingerprint, staging, facts | {"packing": _packing(written)})


def _packing(written: list[pack.Packed]) -> dict[str, Any]:
    """The packing report of each split."""
    by_split: dict[str, list[PackingReport]] = {}
    for shard in written:
        by_split.setdefault(shard.entry.split, []).append(shard.report)
    return {split: add_up(reports).model_dump(mode="json") for split, reports in sorted(by_split.items())}


def _check(written: list[pack.Packed], expected: list[Row], header: SetHeader) -> None:
    """Raise GristmillError unless the rows of the shards, put back together by document, are the documents."""
    total = add_up(shard.report for shard in written)
    for name, wanted, found in (
        ("documents", sum(row["documents"] for row in expected), total.documents),
        ("tokens", sum(row["tokens"] for row in expected), total.tokens),
        ("tokens left out", sum(row["dropped"] for row in expected), total.dropped),
        ("places", total.rows * header.width, sum(shard.entry.tokens + shard.entry.padding for shard in written)),
    ):
        if wanted != found:
            raise GristmillError(f"pack: {wanted:,} {name} were to be packed, but the shards hold {found:,}")
    if reduce(xor, (row["fingerprint"] for row in expected), 0) != reduce(xor, (s.fingerprint for s in written), 0):
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
        config_hash=config_hash(run.config),
    )


def config_hash(config: Config) -> str:
    """Digest of all of the config that decides what is in the shards: no path, no setting of a machine."""
    benchmarks = {"contamination": {"benchmarks"}}  # files of the user's machine
    left_out: dict[str, Any] = {"output": True, "spark": True, "chunk_bytes": True, "repeats": benchmarks}
    page = config.model_dump(exclude=left_out, mode="json")
    page.pop("pretrain", None)
    page["dedup"] |= {"indexes": list(config.dedup.indexes), "in_memory_documents": 0, "in_memory_pairs": 0}
    for source in page["sources"]:
        del source["paths"], source["root"]
    return digest(page)


STEPS: dict[str, Step] = {"tokenizer": tokenizer, "pack": packed}
