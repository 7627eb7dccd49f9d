"""The stages from sources to corpus, in order: what each depends on, its chunks, and what it commits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import functions as F

from filters.minhash import SKETCH_SIZE
from pipelines import annotate as annotation
from pipelines import corpus as corpora
from pipelines import datasets, funnel, judge, texts
from pipelines.config import Config
from pipelines.dedup import cutting, in_memory, repeats
from pipelines.dedup import match as matching
from pipelines.dedup.compared import eligible, frame
from pipelines.dedup.components import components
from pipelines.dedup.options import Repeats
from pipelines.dedup.places import Place, check, of_indexes
from pipelines.errors import GristmillError
from pipelines.ingest_stage import INGEST_CODE, ingest, ingest_print
from pipelines.ledger import STAGES, digest
from pipelines.run import Run, Step, fill_empty
from pipelines.tombstones import fingerprint


def annotate(run: Run) -> None:
    """documents/ to signals/, edits/ and sketches/."""
    arguments = annotation.arguments(run.config)
    stage = run.stage("annotate", config=arguments, code=annotation.versions(run.config))
    if stage.is_fresh():
        return
    chunks = _document_chunks(run, [stage.prints["config"], stage.prints["code"]])
    for done, key in enumerate(stage.begin(chunks), 1):
        staging = stage.staging()
        rows = texts.write(run.spark, chunks[key], staging, key[:16], "pipelines.annotate:annotator", arguments)
        stage.commit(key, staging, {"rows": rows})
        run.say(f"annotate: chunk {done}: {rows.get('sketches', 0):,} documents")
    families = annotation.family_types(run.config)
    signals = {f"signals/{name}": _keyed(family.schema) for name, family in families.items()}
    fill_empty(stage, {**signals, "edits": datasets.EDITS, "sketches": datasets.SKETCHES})
    stage.finish({"shingles": annotation.shingles(run.config)})


def _keyed(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field("doc_id", pa.string(), nullable=False), *schema])


def _document_chunks(run: Run, made_of: Any) -> dict[str, list[str]]:
    """Files of documents/ in groups of about `chunk_bytes`, by a key that says what will be made of them.

    The names of the files carry the keys of the chunks that they came from, so they stand for their contents.
    """
    groups = datasets.by_size(datasets.files(run.output, "documents"), run.config.chunk_bytes)
    return {digest([[Path(file).name for file in group], made_of]): group for group in groups}


def match(run: Run) -> None:
    """sketches/ to pairs/, hubs/, repeats/ and benchmarks/."""
    stage = run.stage("match", config=match_config(run.config), code=[matching.VERSION])
    if stage.is_fresh():
        return
    for key in stage.begin():
        staging = stage.staging()
        work = stage.staging()
        found = compare(run, staging, work)
        if run.config.repeats != Repeats():
            find_repeats(run, staging, stage.staging())
            tidy(staging / "repeats", key)
        for part in (staging / "hubs", *sorted((staging / "pairs").iterdir())):
            if part.exists():
                tidy(part, key)
        shutil.rmtree(work)
        stage.commit(key, staging, found)
    fill_empty(stage, {name: datasets.SCHEMAS[name] for name in STAGES["match"]})
    kinds = pc.value_counts(datasets.scan(run.output, "pairs", ["kind"])["kind"]).to_pylist()
    counts = {"exact": 0, "near": 0} | {kind["values"]: kind["counts"] for kind in kinds}
    run.say(f"match: {counts['exact']:,} exact copies, {counts['near']:,} near pairs")
    (found,) = [facts for facts in stage.chunk_facts() if facts]
    stage.finish({**counts, **found, "bands": run.config.dedup.bands, "rows": run.config.dedup.rows})


def compare(run: Run, staging: Path, work: Path) -> dict[str, Any]:
    """sketches/, and those of indexes, to pairs/ and hubs/ below `staging`: in this process, or in Spark's tasks."""
    settings = run.config.dedup
    places = [Place(None, run.output), *of_indexes(settings.indexes)]
    passing = judge.passing(run.spark, run.output, run.config) if judge.language_rules(run.config) else None
    everything = passing is None and settings.scope == "global" and not settings.indexes
    sizes = datasets.scan(run.output, "sketches", ["shingles"])["shingles"]
    estimated = {"estimated": pc.sum(pc.equal(sizes, SKETCH_SIZE)).as_py() or 0}
    if sum(place.documents() for place in places) <= settings.in_memory_documents:
        chosen = None if everything else eligible(frame(run.spark, places, settings.scope, passing))
        return in_memory.write_pairs(places, chosen, settings, staging, work) | estimated
    compared = frame(run.spark, places, settings.scope, passing).persist()
    found = matching.write_pairs(compared, settings, staging, work)
    compared.unpersist()
    return found | estimated


def find_repeats(run: Run, staging: Path, scratch: Path) -> None:
    """The compared texts and the pairs below `staging` to repeats/ and benchmarks/ there. Uses up `scratch`."""
    pairs = run.spark.read.parquet(*datasets.files(staging, "pairs")).where(F.col("index").isNull()).select("a", "b")
    clusters, _ = components(pairs, scratch / "components", run.config.dedup.in_memory_pairs)
    documents = corpora.documents(run.spark, datasets.files(run.output, "documents"))
    members = documents.select("doc_id", "part")
    if judge.language_rules(run.config):
        members = members.join(judge.passing(run.spark, run.output, run.config), "doc_id", how="left_semi")
    members = members.join(clusters, "doc_id", how="left")
    members = members.select("part", "doc_id", F.coalesce("cluster", "doc_id").alias("cluster"))
    members.repartitionByRange("part").sortWithinPartitions("part", "doc_id").write.parquet(str(scratch / "members"))
    code = [source.name for source in run.config.sources if source.resolved_kind == "code"]
    repeats.write(documents, scratch / "members", scratch, run.config.repeats, code, staging)
    shutil.rmtree(scratch)


def match_config(config: Config) -> dict[str, Any]:
    """What of the config decides which pairs are found."""
    asked = [rule.sources for rule in judge.language_rules(config)]
    left_out = {"keep_order", "choice", "rehydrate", "in_memory_pairs", "in_memory_documents", "target", "indexes"}
    kept = config.dedup.model_dump(exclude=left_out)
    indexes = check(config.dedup.indexes, annotation.shingles(config))
    return {"dedup": kept, "indexes": indexes, "language": config.language.model_dump(), "asked": asked} | (
        {"repeats": repeats.found_by(config.repeats), "code": repeats.VERSION} if config.repeats != Repeats() else {}
    )


def judged(run: Run) -> None:
    """signals/ and pairs/ to verdicts/."""
    stage = run.stage("judge", config=judge_config(run.config), code=[judge.VERSION])
    if stage.is_fresh():
        return
    for key in stage.begin():
        staging = stage.staging()
        work = stage.staging()
        quantiles = judge.quantiles(run.spark, run.output, run.config)
        verdicts = judge.verdicts(run.spark, run.output, run.config, quantiles, work).repartition("part")
        verdicts.sortWithinPartitions("part", "doc_id").write.parquet(str(staging / "verdicts"))
        run.spark.catalog.clearCache()
        shutil.rmtree(work)
        tidy(staging / "verdicts", key)
        stage.commit(key, staging, {"quantiles": quantiles})
    fill_empty(stage, {"verdicts": datasets.VERDICTS})
    table = funnel.funnel(run.output, [source.name for source in run.config.sources])
    funnel.check(table, run.ledger.stages["ingest"]["facts"]["documents_in"])
    kept = sum(row["kept"] for row in table.values())
    run.say(f"judge: {kept:,} of {sum(row['documents_in'] for row in table.values()):,} documents kept")
    rules = [[rule.name, rule.predicate, list(rule.sources)] for rule in judge.all_rules(run.config)]
    (quantiles,) = [facts["quantiles"] for facts in stage.chunk_facts() if facts]
    stage.finish({"funnel": table, "rules": rules, "quantiles": quantiles})


def judge_config(config: Config) -> dict[str, Any]:
    """What of the config decides the verdicts, the predicates of rule sets included."""
    rules = [[r.name, r.predicate, r.sources, [o.model_dump() for o in r.overrides]] for r in judge.load_rules(config)]
    dropped = [[rule.name, rule.predicate] for rule in judge.contamination_rules(config)]
    return {
        "rules": rules + dropped,
        "order": config.rules.order,
        "keep_order": config.dedup.keep_order,
        "choice": config.dedup.choice,
        "priority": [source.name for source in config.sources],
        "split": config.split.model_dump(),
        "seed": config.seed,
        "removed": fingerprint(config.removals),  # what was removed from this directory was taken out in place
    }


def corpus(run: Run) -> None:
    """documents/ and verdicts/ to corpus/."""
    stage = run.stage("corpus", config=corpus_config(run.config), code=[corpora.VERSION])
    if stage.is_fresh():
        return
    chunks = _document_chunks(run, stage.fingerprint)
    missing = stage.begin(chunks)
    cuts = write_cuts(run, stage.staging()) if missing and run.config.repeats != Repeats() else None
    arguments = {
        "output": str(run.output),
        "cuts": cuts and str(cuts),
        "repeats": run.config.repeats.model_dump(),
        "rehydrate": run.config.dedup.rehydrate,
    }
    for key in missing:
        staging = stage.staging()
        rows = texts.write(run.spark, chunks[key], staging, key[:16], "pipelines.corpus:writer", arguments)
        stage.commit(key, staging, {"rows": rows})
    if cuts:
        shutil.rmtree(cuts)
    written = sum(sum(facts["rows"].values()) for facts in stage.chunk_facts())
    kept = sum(row["kept"] for row in run.ledger.stages["judge"]["facts"]["funnel"].values())
    if written != kept:
        raise GristmillError(f"corpus: {written:,} documents were written, but {kept:,} are kept")
    if not written:
        raise GristmillError("corpus: no document is kept; `gristmill report` says which rules dropped them")
    run.say(f"corpus: {written:,} documents")
    stage.finish({"documents": written})


def corpus_config(config: Config) -> dict[str, Any]:
    """What of the config decides which repeats are cut, and how often documents are to be repeated."""
    repeats = config.repeats.model_dump(exclude={"contamination": {"benchmarks"}}, exclude_none=True)
    return repeats | {"rehydrate": config.dedup.rehydrate}


def write_cuts(run: Run, folder: Path) -> Path:
    """The spans of repeats/ to cut, sorted by the file that holds their text, in `folder`."""
    read = run.spark.read
    found = read.parquet(*datasets.files(run.output, "repeats"))
    verdicts = read.parquet(*datasets.files(run.output, "verdicts"))
    spans = cutting.spans(found, verdicts, run.config.repeats).repartitionByRange("part")
    spans.sortWithinPartitions("part", "doc_id", "start").write.mode("overwrite").parquet(str(folder))
    return folder


def first_stage_changed(run: Run) -> str | None:
    """The first stage before `judge` that is not finished, or was made under another config or by other code."""
    ingested = [ingest_print(run.config, source) for source in run.config.sources]
    expected = {
        "ingest": (ingested, INGEST_CODE),
        "annotate": (annotation.arguments(run.config), annotation.versions(run.config)),
        "match": (match_config(run.config), [matching.VERSION]),
    }
    for name, (config, code) in expected.items():
        entry = run.ledger.stages.get(name, {})
        prints = entry.get("prints", {})
        if not entry.get("finished") or prints["config"] != digest(config) or prints["code"] != digest(code):
            return name
    return None


STEPS: dict[str, Step] = {"ingest": ingest, "annotate": annotate, "match": match, "judge": judged, "corpus": corpus}


def tidy(folder: Path, key: str) -> None:
    """Give Spark's Parquet files stable names, and remove its markers and check sums."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("part-"):
            path.rename(folder / f"{key[:16]}-{path.name.split('-')[1]}.parquet")
        else:
            path.unlink()
