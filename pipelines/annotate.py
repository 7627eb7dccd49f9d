"""Annotate: every document measured once, in one Arrow pass, into signals/, edits/ and sketches/.

Line edits come first; every signal, the content hash, the MinHash signature and the shingle sketch are taken of the
text that the edits leave. Nothing is decided here and no text is changed.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import content, edits, minhash, segment
from filters.assets import AssetError
from filters.batch import TextBatch
from filters.edits import EDITS, NO_CUTS, Cuts, EditedBatch, LineEdits, merge
from filters.family import Family
from filters.pii import KINDS, Mask, Pii
from pipelines import datasets
from pipelines.config import Config
from pipelines.dedup.bands import binary
from pipelines.errors import ConfigError
from pipelines.sink import Transform, resolve
from pipelines.texts import RowGroup, each

VERSION = 4

FAMILIES = {
    "language": "filters.language:Language",
    "quality": "filters.quality:Quality",
    "repetition": "filters.repetition:Repetition",
    "c4": "filters.c4:C4",
    "edits": "filters.removed:Removed",
    "toxicity": "filters.toxicity:Toxicity",
    "code": "filters.code:Code",
    "pii": "filters.pii:Pii",
    "url": "filters.urls:Urls",
    "garbled": "filters.garbled:Garbled",
    "advertising": "filters.advertising:Advertising",
    "learned": "filters.learned:Learned",
    "importance": "filters.importance:Importance",
    "unigram": "filters.unigram:Unigram",
}


def family_types(config: Config) -> dict[str, Any]:
    """The classes of the configured families by name, not built yet: their `schema` and `version` are theirs.

    Raises ConfigError for a family that cannot be found.
    """
    found = {}
    for name in config.annotate.families:
        path = FAMILIES.get(name, name)
        if ":" not in path:
            close = difflib.get_close_matches(name, FAMILIES, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"valid are: {', '.join(FAMILIES)}"
            raise ConfigError(f"annotate.families: no family is named {name!r}; {hint}")
        try:
            family = resolve(path)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"annotate.families: cannot import {path}: {error}") from error
        if not all(hasattr(family, attribute) for attribute in ("name", "version", "schema")):
            raise ConfigError(f"annotate.families: {path} is no signal family: see filters/family.py")
        found[family.name] = family
    for name in config.annotate.options:
        if name not in found:
            raise ConfigError(f"annotate.options.{name}: no such family in annotate.families ({', '.join(found)})")
    check_choices(config, "edits", EDITS)
    check_choices(config, "masks", KINDS)
    return found


def check_choices(config: Config, key: Literal["edits", "masks"], valid: tuple[str, ...]) -> None:
    """Raise ConfigError where a config asks for an edit or a mask that is not there."""
    named = [*by_source(config, key).values(), *getattr(config.annotate, key).values()]
    for name in sorted({name for names in named for name in names}):
        if name not in valid:
            close = difflib.get_close_matches(name, valid, n=1, cutoff=0.0)
            raise ConfigError(f"annotate.{key}: {name!r} is not known; did you mean {close[0]!r}?")


def build(config: Config) -> dict[str, Family]:
    """Every family by name. Raises ConfigError where an option is unknown or a model is missing or altered."""
    built: dict[str, Family] = {}
    for name, family in family_types(config).items():
        try:
            built[name] = family(**config.annotate.options.get(name, {}))
        except (AssetError, TypeError, ValueError) as error:
            raise ConfigError(f"annotate.options.{name}: {error}") from error
    return built


def by_source(config: Config, name: Literal["edits", "masks"]) -> dict[str, list[str]]:
    """The line edits, or the masks, that apply to each source."""
    by_kind: dict[str, list[str]] = getattr(config.annotate, name)
    own = {source.name: getattr(source, name) for source in config.sources}
    return {
        source.name: list(own[source.name] if own[source.name] is not None else by_kind.get(source.resolved_kind, []))
        for source in config.sources
    }


def arguments(config: Config) -> dict[str, Any]:
    """What `annotator` needs, as JSON: also the stage's part of the config in its fingerprint."""
    return {
        "families": {name: FAMILIES.get(name, name) for name in config.annotate.families},
        "options": config.annotate.options,
        "edits": by_source(config, "edits"),
        "masks": by_source(config, "masks"),
        "canonical": config.dedup.canonical,
        "ngram": config.dedup.ngram,
    }


def versions(config: Config) -> dict[str, Any]:
    """Versions of all that decides what is measured."""
    return {
        "annotate": VERSION,
        "segment": segment.VERSION,
        "edits": edits.VERSION,
        "masks": Pii.version,
        "content": content.VERSION,
        "minhash": minhash.VERSION,
        **{name: family.version for name, family in family_types(config).items()},
        "files": {name: _digests(options) for name, options in config.annotate.options.items()},
    }


def _digests(options: dict[str, Any]) -> dict[str, str]:
    """SHA-256 of the files that options name: a model or a list that is another one under the same path."""
    values = [each for value in options.values() for each in (value if isinstance(value, list) else [value])]
    named = [Path(value) for value in values if isinstance(value, str) and Path(value).is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in named}


def shingles(config: Config) -> list[Any]:
    """What hashes, signatures and sketches are made by: two runs are compared only where it is the same."""
    made_by = {"segment": segment.VERSION, "content": content.VERSION, "minhash": minhash.VERSION}
    return [made_by, {"ngram": config.dedup.ngram, "canonical": config.dedup.canonical}]


def annotator(
    tasks: list[list[RowGroup]],
    families: dict[str, str],
    options: dict[str, dict[str, Any]],
    edits: dict[str, list[str]],
    masks: dict[str, list[str]],
    canonical: content.Canonical,
    ngram: int,
) -> Transform:
    """The transform of the sink: the texts of a task to their annotations, by dataset."""
    built: list[Family] = [resolve(path)(**options.get(name, {})) for name, path in families.items()]
    cutters = {source: LineEdits(names) for source, names in edits.items() if names}
    masked = {source: names for source, names in masks.items() if names}
    pii = next((family for family in built if isinstance(family, Pii)), None) or (Pii() if masked else None)

    def annotate(batch: pa.RecordBatch) -> Iterator[dict[str, pa.RecordBatch]]:
        ids = batch["doc_id"]
        language = pc.map_lookup(batch["meta"], "language", "first")
        before = TextBatch(batch["text"], uris=batch["uri"], languages=language)
        view, cuts = _cut(before, batch["source"], cutters)
        written = {f"signals/{family.name}": _with_ids(ids, family(view)) for family in built}
        hashes = content.content_hash(view, canonical=canonical)
        sketched = _sketch(view, ngram)
        found = pii.masks(before) if pii and masked else {}
        written["edits"] = pa.concat_batches([_cut_rows(batch, cuts), _mask_rows(batch, found, masked)])
        written["sketches"] = pa.RecordBatch.from_arrays(
            [ids, hashes.cast(pa.binary()), *sketched], schema=datasets.SKETCHES
        )
        yield written

    return each(tasks, ["doc_id", "source", "uri", "text", "meta"], annotate)


def _cut(before: TextBatch, sources: pa.Array, cutters: dict[str, LineEdits]) -> tuple[TextBatch, Cuts]:
    """The texts without what edits cut, and what is cut."""
    names = sources.to_numpy(zero_copy_only=False)
    found = [cutters[source].cuts(before).of(names == source) for source in sorted(set(names) & set(cutters))]
    cuts = merge([NO_CUTS, *found])
    return (EditedBatch(before, cuts) if len(cuts.texts) else before), cuts


def _cut_rows(batch: pa.RecordBatch, cuts: Cuts) -> pa.RecordBatch:
    columns = {
        "doc_id": batch["doc_id"].take(pa.array(cuts.texts)),
        "start": cuts.starts,
        "end": cuts.ends,
        "kind": pa.repeat("line", len(cuts.texts)),
        "reason": np.array(EDITS)[cuts.reasons],
        "replacement": pa.repeat("", len(cuts.texts)),
        "part": batch["part"].take(pa.array(cuts.texts)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=datasets.EDITS)


def _mask_rows(batch: pa.RecordBatch, found: dict[int, list[Mask]], wanted: dict[str, list[str]]) -> pa.RecordBatch:
    """Edits that put placeholders in the place of the kinds of personal data that each source asks for."""
    ids, sources, parts = (batch[name].to_pylist() for name in ("doc_id", "source", "part"))
    rows = [
        (ids[text], mask.start, mask.end, "mask", mask.reason, mask.replacement, parts[text])
        for text, masks in found.items()
        for mask in masks
        if mask.reason in wanted.get(sources[text], ())
    ]
    columns = list(zip(*rows)) or [()] * len(datasets.EDITS)
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, datasets.EDITS)], schema=datasets.EDITS)


def _sketch(batch: TextBatch, ngram: int) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Signatures (null where a text has no shingle) and sketches, as little-endian bytes; how many hashes each has."""
    lists = minhash.sketches(batch, n=ngram)
    offsets = lists.offsets.to_numpy()
    values = pa.py_buffer(np.ascontiguousarray(lists.values.to_numpy()))
    sketches = pa.Array.from_buffers(pa.binary(), len(lists), [None, pa.py_buffer(offsets * 4), values])
    signatures = binary(minhash.signatures(batch, n=ngram).view(np.uint8))
    sizes = np.diff(offsets).astype(np.int64)
    return pc.if_else(pa.array(sizes > 0), signatures, None), sketches, pa.array(sizes)


def _with_ids(ids: pa.Array, signals: pa.RecordBatch) -> pa.RecordBatch:
    fields = [pa.field("doc_id", pa.string(), nullable=False), *signals.schema]
    return pa.RecordBatch.from_arrays([ids, *signals.columns], schema=pa.schema(fields))


def signal_files(output: Path, family: str) -> list[str]:
    """The Parquet files of one family."""
    return datasets.files(output, f"signals/{family}")
