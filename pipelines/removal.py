"""Taking documents out of an output directory: out of documents/, verdicts/, corpus/, shards/ and the report's samples.

What is removed stands in `removed/`, and no later run into the directory brings it back (`pipelines.tombstones`). All
files change together: a kill leaves the old state, or one that the next command here finishes before anything else.
Signals, sketches, edits and repeats hold no text and stay; so do models that were trained before.
"""

from __future__ import annotations

import copy
import re
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc

from filters.urls import Urls
from pipelines import datasets, tombstones
from pipelines.errors import ConfigError
from pipelines.ledger import Ledger, Stages
from pipelines.lookup import Row, batches, batches_where
from pipelines.removal_files import Rewritten, rewrite
from pipelines.report import write_report
from shards import read
from shards.atomic import Together, replacing_together
from shards.manifest import MANIFEST
from shards.packing_report import PackingReport, add_up, read_layout, report
from shards.remove import Holding, document_id, holdings, keys, summary, take_out
from shards.tombstones import Request, as_json, file_name, tombstone


def remove(output: Path, request: Request, dry_run: bool = False) -> Row:
    """Remove documents from a run's output directory. Returns what was removed, or with `dry_run` would be.

    removal (its number; None where all is out already), documents, already_removed, sources, kept (documents that were
    in the corpus), shards (documents, tokens, files, and the manifest's version; None where there are none).
    Raises ConfigError for an id, URI or domain of which there is no document, GristmillError for what is damaged.
    """
    with Ledger(output) as ledger:
        known = tombstones.read(output)
        earlier = {document for tombstone in known for document in tombstone.documents}
        chosen = resolve(output, request)
        new = sorted(chosen - earlier)
        every = sorted(chosen | earlier)
        shards = read.open(output / "shards") if (output / "shards" / MANIFEST).exists() else None
        found = holdings(shards, keys(every)) if shards else []
        facts: Row = {
            "removal": len(known) + 1 if new else None,
            "documents": len(new),
            "already_removed": len(chosen) - len(new),
            **_counted(output, new),
            "shards": summary(found, shards.manifest.version + bool(found)) if shards else None,
        }
        if dry_run:
            return facts
        entry = tombstone(len(known) + 1, new, request) if new else None
        stages = copy.deepcopy(ledger.stages)
        with replacing_together(output) as together:
            if entry:
                together.path(output / file_name(entry.number)).write_text(as_json(entry), "utf-8")
            done = rewrite(output, together, every, entry.number if entry else len(known))
            if shards and found:
                take_out(shards, found, together, entry.digest if entry else known[-1].digest)
                _tell_pack(stages, shards, found, done, together)
            changed = bool(entry or done.sizes or found)
            had_report = _drop_old(output, stages, together) if changed else False
            _tell(stages, done, together)
            together.path(ledger.path).write_text(ledger.page(stages), "utf-8")
        ledger.stages = stages
        if had_report or not stages.get("report", {"finished": True})["finished"]:
            _write_report_again(ledger)
        return facts


def resolve(output: Path, request: Request) -> set[str]:
    """The ids of the documents that are asked for. Raises ConfigError, naming what there is no document of."""
    files = datasets.files(output, "documents")
    ids = set[str]()
    for column, option, wanted in (("doc_id", "--id", request.ids), ("uri", "--uri", request.uris)):
        hits = list(batches_where(files, column, wanted, list({"doc_id", column})))
        present = {value for batch in hits for value in batch[column].to_pylist()}
        missing = [value for value in wanted if value not in present]
        if missing:
            more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
            raise ConfigError(f"{option}: {output} has no document {', '.join(map(repr, missing[:3]))}{more}")
        ids.update(document for batch in hits for document in batch["doc_id"].to_pylist())
    for domain in request.domains:
        own = of_domain(files, domain)
        if not own:
            raise ConfigError(f"--domain: {output} has no document of {domain!r}")
        ids |= own
    return ids | _clusters(output, ids) if request.with_duplicates else ids


def of_domain(files: list[str], domain: str) -> set[str]:
    """The documents whose URL's host is a domain or below it, as the gate of URL lists reads hosts."""
    if not re.fullmatch(r"[^\s#]+", domain.strip()):  # lines and comments of a list
        raise ConfigError(f"--domain: {domain!r} is no domain")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as named:
        named.write(domain.strip())
        named.flush()
        try:
            urls = Urls(domains=[named.name])
        except ValueError as error:
            raise ConfigError(f"--domain: {domain!r} is no domain") from error
    found = set[str]()
    for batch in batches(files, ["doc_id", "uri"]):
        own = batch.filter(pc.fill_null(pc.match_substring(batch["uri"], "://"), False))  # a path has no host
        found.update(own.filter(urls.measure(own["uri"])["blocked"])["doc_id"].to_pylist())
    return found


def _clusters(output: Path, ids: set[str]) -> set[str]:
    """All documents of the clusters that some documents are in."""
    files = datasets.files(output, "verdicts")
    if not files:
        raise ConfigError(f"--with-duplicates: {output} has no verdicts/, which say who is a duplicate of whom")
    clusters = {c for batch in batches_where(files, "doc_id", ids, ["cluster"]) for c in batch["cluster"].to_pylist()}
    members = batches_where(files, "cluster", clusters, ["doc_id"])
    return {document for batch in members for document in batch["doc_id"].to_pylist()}


def _counted(output: Path, documents: list[str]) -> Row:
    """By source how many documents there are of, and how many of all are kept."""
    sources: Counter[str] = Counter()
    for batch in batches_where(datasets.files(output, "documents"), "doc_id", documents, ["source"]):
        sources.update(batch["source"].to_pylist())
    verdicts = batches_where(datasets.files(output, "verdicts"), "doc_id", documents, ["kept"])
    return {"sources": dict(sorted(sources.items())), "kept": sum(pc.sum(b["kept"]).as_py() or 0 for b in verdicts)}


def _drop_old(output: Path, stages: Stages, together: Together) -> bool:
    """Let what is made again go: the report, which shows texts, and tokens of a pack that is not finished."""
    report = sorted(path for path in (output / "report").rglob("*") if path.is_file())
    tokens = sorted(path for path in (output / "tokens").rglob("*") if path.is_file())
    for path in [*report, *tokens]:
        together.remove(path)
    if "report" in stages:
        stages["report"] |= {"finished": False}
    if tokens and "pack" in stages:
        chunks = stages["pack"]["chunks"]
        kept = {k: c for k, c in chunks.items() if not any(name.startswith("tokens/") for name in c["files"])}
        stages["pack"] |= {"chunks": kept, "finished": False}
    return bool(report)


def _write_report_again(ledger: Ledger) -> None:
    """The report of what is there now, in the place of the one that showed removed texts."""
    page = write_report(ledger.output)
    if entry := ledger.stages.get("report"):
        sizes = {path.relative_to(ledger.output).as_posix(): path.stat().st_size for path in page.parent.iterdir()}
        for chunk in entry["chunks"].values():
            chunk["files"] = {name: sizes[name] for name in chunk["files"]}
        entry["finished"] = True
        ledger.save()


def _tell(stages: Stages, done: Rewritten, together: Together) -> None:
    """Enter in the stages the new sizes of files, and the new sums."""
    for entry in stages.values():
        for chunk in entry["chunks"].values():
            for name in chunk["files"]:
                path = together.folder / name
                if path.is_file():
                    chunk["files"][name] = path.stat().st_size
                if fewer := done.fewer.get(name):
                    chunk["facts"]["rows"][name.rpartition("/")[0]] -= fewer
    if facts := stages.get("corpus", {}).get("facts"):
        facts["documents"] -= sum(done.fewer.values())
    if facts := stages.get("judge", {}).get("facts"):
        for (source, before, after), count in done.judged.items():
            row = facts["funnel"][source]
            row["kept" if before == "kept" else f"dropped_{before}"] -= count
            row[f"dropped_{after}"] = row.get(f"dropped_{after}", 0) + count
            row["dropped"] += count if before == "kept" else 0


def _tell_pack(
    stages: Stages, shards: read.ShardSet, found: list[Holding], done: Rewritten, together: Together
) -> None:
    """Enter in the stage `pack` what the shards hold now, by source and split."""
    packing = {split: _packing(shards, split, together) for split in shards.manifest.splits}
    entry = stages.get("pack", {"chunks": {}})
    for facts in [entry.get("facts"), *(chunk["facts"] for chunk in entry["chunks"].values())]:
        if not facts or "packing" not in facts:
            continue
        for held in found:
            facts["tokens"] -= int(held.tokens.sum())
            for document, tokens in zip(held.documents.tolist(), held.tokens.tolist()):
                source = done.sources[document_id(document)]
                facts["sources"][source][held.file.entry.split] -= tokens
        for split, before in facts["packing"].items():
            facts["packing"][split] = {**packing[split].model_dump(mode="json"), "dropped": before["dropped"]}


def _packing(shards: read.ShardSet, split: str, together: Together) -> PackingReport:
    """The packing report of a split as it will be."""
    names = [file.entry.name for file in shards.split(split).files]
    changed = {name: together.folder / (shards.directory / name).relative_to(together.directory) for name in names}
    return add_up(
        report(read_layout(new if new.exists() else shards.directory / name)) for name, new in changed.items()
    )
