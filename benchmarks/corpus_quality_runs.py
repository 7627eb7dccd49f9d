"""One training run of corpus_quality.py: which rows it reads, the training, and what is measured of the model.

A document is its beginning token and its text. Its place in a seed's order is a hash of the seed and its name, so two
corpora read the documents that they share in the same order; a corpus's documents are laid end to end in that order
and cut into rows, each of which is read once. Documents in a row do not see each other. The seed is also that of the
initial weights. On one thread a run is repeatable bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import xxhash

from pretrain.config import ModelConfig, OptimizerConfig, ScheduleConfig
from pretrain.data import IGNORE, Batch
from pretrain.evaluate import model_nats
from pretrain.model import Decoder, parameter_count
from pretrain.optimizer import build_optimizers, learning_rate_factor, set_learning_rate
from pretrain.update import update
from tokenizer.encode import Encoder
from tokenizer.vocabulary import BEGIN_OF_TEXT, token_bytes

CONTEXT = 256
BATCH_ROWS = 4
MODEL = ModelConfig(layers=2, hidden=96, heads=3, kv_heads=1, intermediate=256)
SCHEDULE = ScheduleConfig(kind="cosine", warmup=40, final=0.1)
ITEM_TOKENS = 128  # of a prompt's end and an answer
EVALUATED_ROWS = 8  # or items, at a time

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


class Corpus(NamedTuple):
    """Documents by their names, and their tokens laid end to end, uint16; document i is those from offsets[i] on."""

    names: list[str]
    tokens: npt.NDArray[np.uint16]
    offsets: Int64


class Rows(NamedTuple):
    """Tokens of rows [n, L + 1], and for each token the number of its document and its place in that, as far as it is
    in the row."""

    tokens: Int64
    documents: Int64
    positions: Int64


class Run(NamedTuple):
    """What a run is of: files, and what sets it apart."""

    corpus: Path
    tokenizer: Path
    evaluation: Path
    seed: int
    rate: float  # peak learning rate
    tokens: int


def encode(encoder: Encoder, names: Sequence[str], texts: Sequence[str]) -> Corpus:
    """The documents' tokens, the beginning token before each."""
    tokens, offsets = encoder.encode_batch(texts)
    begin = encoder.special_ids[BEGIN_OF_TEXT]
    with_begin = np.insert(tokens, offsets[:-1], begin).astype(np.uint16)
    return Corpus(list(names), with_begin, offsets + np.arange(len(offsets)))


def save(path: Path, corpus: Corpus) -> None:
    part = path.with_suffix(".part.npz")
    np.savez(part, names=np.array(corpus.names), tokens=corpus.tokens, offsets=corpus.offsets)
    part.rename(path)


def load(path: Path) -> Corpus:
    with np.load(path) as held:
        return Corpus(held["names"].tolist(), held["tokens"], held["offsets"])


def order(names: Sequence[str], seed: int) -> list[int]:
    """The documents in the seed's order."""
    return sorted(range(len(names)), key=lambda at: xxhash.xxh3_128_intdigest(f"{seed} {names[at]}".encode()))


def pack(corpus: Corpus, places: Sequence[int], most: int) -> Rows:
    """At most `most` rows of the documents at `places`, laid end to end; what does not fill a row is left out."""
    width = CONTEXT + 1
    lengths = np.diff(corpus.offsets)[list(places)]
    used = int(np.searchsorted(np.cumsum(lengths), most * width)) + 1
    places, lengths = list(places)[:used], lengths[:used]
    tokens = np.concatenate([corpus.tokens[corpus.offsets[at] : corpus.offsets[at + 1]] for at in places]).astype(
        np.int64
    )
    count = min(most, len(tokens) // width)
    documents = np.repeat(np.arange(len(places)), lengths)[: count * width].reshape(count, width)
    begins = np.ones_like(documents, dtype=bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    columns = np.broadcast_to(np.arange(width), documents.shape)
    positions = columns - np.maximum.accumulate(np.where(begins, columns, 0), axis=1)
    return Rows(tokens[: count * width].reshape(count, width), documents, positions)


def batch(rows: Rows, start: int, stop: int) -> Batch:
    """Some of the rows; the first token of a document is nobody's target."""
    tokens, documents, positions = (torch.from_numpy(part[start:stop]) for part in rows)
    targets = torch.where(documents[:, 1:] == documents[:, :-1], tokens[:, 1:], IGNORE)
    return Batch(tokens[:, :-1].contiguous(), targets, documents[:, :-1].contiguous(), positions[:, :-1].contiguous())


def train(rows: Rows, vocabulary: int, seed: int, rate: float) -> tuple[Decoder, list[float]]:
    """A model that has read each row once, and the loss of each step before it learnt from it, in nats per token."""
    model = Decoder(MODEL, vocabulary, seed)
    config = OptimizerConfig(lr=rate)
    optimizers = build_optimizers(model, config)
    steps = len(rows.tokens) // BATCH_ROWS
    losses = []
    for step in range(steps):
        set_learning_rate(optimizers, learning_rate_factor(step, steps, SCHEDULE))
        read = batch(rows, step * BATCH_ROWS, (step + 1) * BATCH_ROWS)
        losses.append(update(model, optimizers, read, BATCH_ROWS, config.clip, nullcontext)[0])
    return model, losses


def bits_per_byte(model: Decoder, encoder: Encoder, sizes: Int64, texts: Sequence[str]) -> float:
    """Of texts, packed as in training: the first token of a row has nothing before it and does not count."""
    corpus = encode(encoder, [""] * len(texts), texts)
    rows = pack(corpus, range(len(texts)), len(corpus.tokens))
    measure = model_nats(model, torch.device("cpu"))
    nats = size = 0.0
    for start in range(0, len(rows.tokens), EVALUATED_ROWS):
        read = batch(rows, start, start + EVALUATED_ROWS)
        nats += float(measure(read).sum())
        size += float(sizes[read.targets[read.targets != IGNORE].numpy()].sum())
    return nats / math.log(2) / size


def answer_nats(model: Decoder, encoder: Encoder, items: Sequence[dict[str, Any]]) -> Float64:
    """-ln p of each answer after its prompt, float64 [items, answers]."""
    begin = encoder.special_ids[BEGIN_OF_TEXT]
    measure = model_nats(model, torch.device("cpu"))
    found = []
    for start in range(0, len(items), EVALUATED_ROWS):
        part = [
            (item["prompt"], answer) for item in items[start : start + EVALUATED_ROWS] for answer in item["answers"]
        ]
        tokens = torch.zeros(len(part), ITEM_TOKENS, dtype=torch.int64)
        targets = torch.full_like(tokens, IGNORE)
        for row, (prompt, answer) in enumerate(part):
            right = answer_tokens(encoder, answer)
            line = np.concatenate([[begin], encoder.encode(prompt), right])[-ITEM_TOKENS - 1 :]
            line, last = torch.from_numpy(line.astype(np.int64)), len(line) - 1
            tokens[row, :last] = line[:-1]
            targets[row, last - len(right) : last] = line[-len(right) :]
        # padding stands behind all that counts, so that nothing that counts sees it
        positions = torch.arange(ITEM_TOKENS).expand(tokens.shape)
        found.append(measure(Batch(tokens, targets, torch.ones_like(tokens), positions)).sum(axis=1))
    return np.concatenate(found).reshape(len(items), -1)


def answer_tokens(encoder: Encoder, answer: str) -> npt.NDArray[np.integer]:
    """What of an answer is measured: all of it, but for the rare line of code that is too long."""
    return encoder.encode(answer)[: ITEM_TOKENS // 2]


def tasks(model: Decoder, encoder: Encoder, sizes: Int64, evaluation: dict[str, Any]) -> dict[str, float]:
    """Bits per byte of the right answers, and how often the right one is the likeliest of a cloze item."""
    found = {}
    for name in ("cloze", "lines"):
        items = evaluation[name]
        nats = answer_nats(model, encoder, items)
        size = sum(int(sizes[answer_tokens(encoder, item["answers"][0])].sum()) for item in items)
        found[f"{name}_bits_per_byte"] = float(nats[:, 0].sum()) / math.log(2) / size
        if nats.shape[1] > 1:
            found[f"{name}_accuracy"] = float((nats[:, 0] < nats[:, 1:].min(axis=1)).mean())
    return found


def perform(run: Run) -> dict[str, Any]:
    """Train and measure."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    encoder = Encoder(run.tokenizer)
    corpus = load(run.corpus)
    count = run.tokens // CONTEXT // BATCH_ROWS * BATCH_ROWS
    rows = pack(corpus, order(corpus.names, run.seed), count)
    if len(rows.tokens) < count:
        raise ValueError(f"{run.corpus}: {len(rows.tokens)} rows, {count} are asked for, and none may come twice")
    model, losses = train(rows, encoder.vocabulary_size, run.seed, run.rate)
    evaluation = json.loads(run.evaluation.read_text())
    sizes = token_bytes(run.tokenizer).astype(np.int64)
    model.eval()
    measures = {
        f"{kind}_bits_per_byte": bits_per_byte(model, encoder, sizes, texts)
        for kind, texts in evaluation["sets"].items()
    }
    return {
        "measures": {**measures, **tasks(model, encoder, sizes, evaluation)},
        "last_losses": float(np.mean(losses[-len(losses) // 10 :])),
        "parameters": parameter_count(model),
        "rows": len(rows.tokens),
        "seconds": round(time.perf_counter() - started, 1),
    }


def cached(run: Run, folder: Path) -> dict[str, Any]:
    """What `perform` says, from the folder where the same run of the same files has been performed before."""
    files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (run.corpus, run.tokenizer, run.evaluation)]
    setting = [MODEL.model_dump(), SCHEDULE.model_dump(), CONTEXT, BATCH_ROWS, ITEM_TOKENS, torch.__version__]
    told = json.dumps([files, run.seed, run.rate, run.tokens, setting])
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.json"
    if not path.exists():
        found = perform(run)
        path.with_suffix(".part").write_text(json.dumps(found))
        path.with_suffix(".part").rename(path)
    return json.loads(path.read_text())
