"""The output directory of a run as far as its report, with real tokens in its shards, written without running it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from report_case import doc_id, document, error, write, write_run
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pipelines import datasets
from pipelines.report import write_report
from shards.format import Header
from shards.manifest import write_manifest
from shards.packing_report import add_up, read_layout, report
from shards.write import write_shard

SPECIAL = ["<|endoftext|>", "<|bos|>", "<|padding|>"]
SPLITS = ("train", "validation", "test")


def text_of(name: str) -> str:
    """A text that holds words of its own, and characters of one to four bytes."""
    return " ".join(f"{name}word{i} café 吾輩は猫 👩‍👩‍👧" for i in range(4)) + "\n"


def documents() -> list[dict[str, Any]]:
    cluster = {"cluster": doc_id("a")}
    place, title = {"file": "x.warc.gz"}, text_of("a")[:20]
    bad, fine = "https://www.bad.example/", "https://fine.example/"
    rows = [
        document("a", uri=f"{bad}a", stands_for=2, meta={"title": title, **place, "position": "7"}, **cluster),
        document("b", uri=f"{fine}b", duplicate_of=doc_id("a"), similarity=0.9, **cluster),
        document("c", uri=f"{bad}c", split="test"),
        document("d", ("q.short",), uri="http://BAD.example:80/d", words=9),
        document("e", uri="https://notbad.example/e", meta={**place, "position": "9"}),
        document("f", uri="https://bad.example.org/f"),
        document("g", uri=f"{fine}g?of=bad.example", split="validation"),
        document("h", source="books", uri="bad.example/h.txt"),
        document("i", ("gate.status",), text=None, uri=f"{bad}i", meta={"gate": "status"}),
        document("j", uri=f"{bad}j"),
    ]  # fmt: skip
    for row in rows:
        if row["text"] is not None:
            row["text"] = text_of(next(name for name in "abcdefghij" if doc_id(name) == row["doc_id"]))
    return rows


def make_run(output: Path) -> None:
    """A run of which everything is finished up to the report."""
    rows = documents()
    write_run(output, rows, [(doc_id("a"), doc_id("b"), 0.9, "near")], [error("broken.warc.gz")])
    kept = [{**row, "copies": 1} for row in rows if row["kept"]]
    for split, source in sorted({(row["split"], row["source"]) for row in kept}):
        own = [row for row in kept if (row["split"], row["source"]) == (split, source)]
        write(output / "corpus" / f"split={split}" / f"source={source}" / "0.parquet", own, datasets.CORPUS)
    facts = make_shards(output, kept)
    write_report(output)
    page = json.loads((output / "stages.json").read_text())
    stages = page["stages"]
    stages["pack"] = {**stages["judge"], "facts": facts}
    stages["report"] = {**stages["judge"], "facts": {}}
    stages["corpus"]["facts"] = {"documents": len(kept)}
    folders = {"ingest": "documents", "judge": "verdicts", "corpus": "corpus", "pack": "shards", "report": "report"}
    for name, folder in folders.items():
        files = sorted(path for path in (output / folder).rglob("*") if path.is_file())
        sizes = {path.relative_to(output).as_posix(): path.stat().st_size for path in files}
        stages[name] |= {"chunks": {name: {"files": sizes, "facts": {}}}, "fingerprint": name}
    count: dict[str, int] = {}
    for row in kept:
        folder = f"corpus/split={row['split']}/source={row['source']}"
        count[folder] = count.get(folder, 0) + 1
    stages["corpus"]["chunks"]["corpus"]["facts"] = {"rows": count}
    stages["pack"]["chunks"]["pack"]["facts"] = facts
    (output / "stages.json").write_text(json.dumps(page))


def make_tokenizer(output: Path, texts: list[str], size: int = 400) -> Tokenizer:
    """A byte-level BPE in tokenizer/."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    (output / "tokenizer").mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(output / "tokenizer" / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def make_shards(output: Path, kept: list[dict[str, Any]], context: int = 31) -> dict[str, Any]:
    """tokenizer/ and shards/ of the kept documents, and the facts of the stage `pack`."""
    tokenizer = make_tokenizer(output, [row["text"] for row in kept])
    digest = hashlib.sha256((output / "tokenizer" / "tokenizer.json").read_bytes()).hexdigest()
    (output / "shards").mkdir()
    entries, packing, sources = [], {}, {}
    for split in SPLITS:
        header = Header(
            tokenizer_sha256=digest,
            vocabulary_size=tokenizer.get_vocab_size(),
            context_length=context,
            special_ids={name: i for i, name in enumerate(SPECIAL)},
            bos="<|bos|>",
            eos="<|endoftext|>",
            padding="<|padding|>",
            adds_bos=True,
            adds_eos=True,
            packing="concatenate",
            config_hash="0",
            split=split,
            bucket="all",
        )
        own = [row for row in kept if row["split"] == split]
        tokens = [[1, *tokenizer.encode(row["text"], add_special_tokens=False).ids, 0] for row in own]
        ids = [pa.array([bytes.fromhex(row[name]) for row in own], pa.binary(16)) for name in ("doc_id", "cluster")]
        table = pa.table({"document": ids[0], "cluster": ids[1], "tokens": pa.array(tokens, pa.list_(pa.uint16()))})
        path = output / "shards" / f"{split}-all-00000.arrow"
        entries.append(write_shard(path, table, header, 0))
        packing[split] = add_up([report(read_layout(path))]).model_dump(mode="json")
        for row, encoded in zip(own, tokens):
            by_split = sources.setdefault(row["source"], {})
            by_split[split] = by_split.get(split, 0) + len(encoded)
    write_manifest(output / "shards", header.shared(), entries, SPLITS)
    totals = {"tokens": sum(entry.tokens for entry in entries), "rows": sum(entry.rows for entry in entries)}
    return {**totals, "files": len(entries), "sources": sources, "packing": packing}
