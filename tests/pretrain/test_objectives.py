"""Masked and corrupted batches: counts of the papers, nothing lost, documents apart, special tokens untouched."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import shards.read
from pretrain.data import IGNORE, Batch, read_batch
from pretrain.noise import noise_counts, noise_mask
from pretrain.objectives import T5, Denoiser, MaskedLanguageModel, SpanCorruption, ul2
from shards.format import FillInTheMiddle, SetHeader

EOS, BOS, PADDING, MASK = 0, 1, 2, 3
FIRST_RESERVED, RESERVED = 4, 200
VOCABULARY = 5000


def header(**changes: object) -> SetHeader:
    special = {"<eos>": EOS, "<bos>": BOS, "<pad>": PADDING, "<mask>": MASK, "[R]": 240, "[X]": 241, "[S]": 242}
    special |= {f"<reserved_{i}>": FIRST_RESERVED + i for i in range(RESERVED)}
    values = {
        "tokenizer_sha256": "0" * 64,
        "vocabulary_size": VOCABULARY,
        "context_length": 512,
        "special_ids": special,
        "bos": "<bos>",
        "eos": "<eos>",
        "padding": "<pad>",
        "adds_bos": True,
        "adds_eos": True,
        "packing": "best_fit",
        "config_hash": "test",
    }
    return SetHeader(**{**values, **changes})


def make_batch(lengths: list[list[int]], context: int = 512, seed: int = 0) -> Batch:
    """Rows of documents of these lengths, bos and eos included (2: no text), then padding."""
    rng = np.random.default_rng(seed)
    inputs = np.full((len(lengths), context), PADDING)
    documents, positions = np.zeros((2, len(lengths), context), np.int64)
    number = 0
    for row, sizes in enumerate(lengths):
        at = 0
        for size in sizes:
            number += 1
            inputs[row, at : at + size] = [BOS, *rng.integers(300, VOCABULARY, size - 2), EOS]
            documents[row, at : at + size] = number
            positions[row, at : at + size] = range(size)
            at += size
    targets = torch.full(inputs.shape, IGNORE)
    return Batch(torch.from_numpy(inputs), targets, *map(torch.from_numpy, (documents, positions)))


LENGTHS = [[512], [2, 3, 4, 100, 257], [], [300, 9]]


def test_fifteen_percent_of_each_document_are_targets_and_special_tokens_never() -> None:
    batch = make_batch(LENGTHS)
    masked = MaskedLanguageModel(header(), "<mask>")(batch, seed=1, position=0)
    for number in range(1, 9):
        own = batch.documents == number
        text = own & (batch.inputs > BOS)
        chosen = own & (masked.targets != IGNORE)
        assert not (chosen & ~text).any()
        assert int(chosen.sum()) == (max(1, round(0.15 * int(text.sum()))) if text.any() else 0)
        assert torch.equal(masked.targets[chosen], batch.inputs[chosen])
        assert torch.equal(masked.inputs[own & ~chosen], batch.inputs[own & ~chosen])
    assert (masked.targets[batch.documents == 0] == IGNORE).all()
    assert torch.equal(masked.documents, batch.documents)
    assert torch.equal(masked.positions, batch.positions)


def test_targets_are_replaced_80_10_10_and_everywhere_alike() -> None:
    batch = make_batch([[512]] * 400)
    masked = MaskedLanguageModel(header(), "<mask>")(batch, seed=3, position=0)
    chosen = masked.targets != IGNORE
    count = int(chosen.sum())
    assert count == 400 * round(0.15 * 510)
    mask = masked.inputs[chosen] == MASK
    same = masked.inputs[chosen] == batch.inputs[chosen]
    for share, expected in ((mask, 0.8), (same, 0.1), (~mask & ~same, 0.1)):
        assert abs(float(share.float().mean()) - expected) < 4 * (expected * (1 - expected) / count) ** 0.5
    assert set(masked.inputs[chosen].tolist()) & set(range(FIRST_RESERVED, FIRST_RESERVED + RESERVED)) == set()
    places = chosen.float().mean(dim=0)[1:511]  # 76 of 510 in 400 rows each
    assert float((places - 76 / 510).abs().max()) < 5 * (0.15 * 0.85 / 400) ** 0.5


def test_masks_differ_by_epoch_and_seed_and_not_by_process() -> None:
    batch = make_batch([[512]] * 6)
    objective = MaskedLanguageModel(header(), "<mask>")
    first = objective(batch, seed=1, position=40)
    assert all(torch.equal(a, b) for a, b in zip(first, objective(batch, seed=1, position=40)))
    half = Batch(*(tensor[2:] for tensor in batch))
    assert torch.equal(objective(half, seed=1, position=42).inputs, first.inputs[2:])
    for other in (objective(batch, seed=2, position=40), objective(batch, seed=1, position=46)):
        same = ((other.targets != IGNORE) & (first.targets != IGNORE)).float().mean() / 0.15
        assert float(same) < 0.3


@pytest.mark.parametrize(
    ("length", "density", "span", "expected"),
    [
        (568, 0.15, 3, (85, 28)),  # what T5 takes for inputs of 512: 568 - 85 + 28 + 1 = 512, targets 85 + 28 + 1 = 114
        (512, 0.15, 3, (77, 26)),
        (10, 0.15, 3, (2, 1)),
        (2, 0.15, 3, (1, 1)),
        (1, 0.15, 3, (0, 0)),
        (0, 0.15, 3, (0, 0)),
        (100, 0.5, 3, (50, 17)),
        (100, 0.25, 0, (25, 1)),
        (4, 0.99, 1, (3, 1)),
    ],
)
def test_noise_is_counted_as_in_t5(length: int, density: float, span: float, expected: tuple[int, int]) -> None:
    assert noise_counts(length, density, span) == expected


@given(st.integers(2, 400), st.floats(0.01, 0.99), st.floats(1, 20), st.integers(0, 2**64 - 1))
def test_noise_masks_have_these_counts(length: int, density: float, span: float, key: int) -> None:
    mask = noise_mask(length, density, span, np.uint64(key)).tolist()
    runs = [(value, len(list(group))) for value, group in itertools.groupby(mask)]
    noise, spans = noise_counts(length, density, span)
    assert sum(mask) == noise
    assert [value for value, _ in runs] == [False, True] * spans  # begins with text, ends with noise


def test_all_masks_are_as_likely() -> None:
    """6 text tokens and 4 noise tokens in 2 spans each: 5 x 3 masks; chi-square over 3,000 keys, 14 degrees."""
    masks = Counter(tuple(noise_mask(10, 0.4, 2, np.uint64(key)).tolist()) for key in range(3000))
    assert len(masks) == 15
    assert sum((count - 200) ** 2 / 200 for count in masks.values()) < 42  # beyond the 99.99th percentile


def put_back(encoder: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """The document that an encoder's and a decoder's side were made of."""
    spans: list[list[int]] = []
    for token in target:
        if token in sentinels:
            assert token == sentinels[len(spans)]
            spans.append([])
        elif token != EOS:
            spans[-1].append(token)
    whole = []
    for token in encoder:
        whole += spans.pop(0) if token in sentinels else [token]
    assert not spans
    return whole


@pytest.mark.parametrize("denoisers", [T5, ul2(), ul2("[R]", "[X]", "[S]"), (Denoiser(0.3, 1),)])
def test_both_sides_together_are_the_documents(denoisers: tuple[Denoiser, ...]) -> None:
    batch = make_batch(LENGTHS * 8)
    objective = SpanCorruption(header(), denoisers)
    sentinels, modes = objective.sentinels.tolist(), set(objective.modes.tolist())
    assert sentinels == sorted(sentinels, reverse=True)
    assert sentinels[0] == FIRST_RESERVED + RESERVED - 1 if modes != {-1} else 242
    pair = objective(batch, seed=5, position=0)
    for row in range(len(batch.inputs)):
        for number in set(batch.documents[row].tolist()) - {0}:
            own, of_encoder = batch.documents[row] == number, pair.encoder_documents[row] == number
            of_decoder = pair.decoder_documents[row] == number
            encoder, targets = pair.encoder_inputs[row][of_encoder].tolist(), pair.targets[row][of_decoder].tolist()
            if modes != {-1}:
                assert encoder.pop(0) in modes
            assert put_back(encoder, targets, sentinels) == batch.inputs[row][own].tolist()
            assert pair.encoder_positions[row][of_encoder].tolist() == list(range(int(of_encoder.sum())))
            assert pair.decoder_positions[row][of_decoder].tolist() == list(range(len(targets)))
            if targets:
                assert targets[-1] == EOS
                assert pair.decoder_inputs[row][of_decoder].tolist() == [PADDING, *targets[:-1]]
            text = int((batch.inputs[row][own] > BOS).sum())
            assert bool(targets) == (text > 1)
    assert ((pair.targets == IGNORE) == (pair.decoder_documents == 0)).all()
    assert (pair.encoder_inputs[pair.encoder_documents == 0] == PADDING).all()


def test_sides_of_a_full_row_are_as_long_as_in_t5() -> None:
    pair = SpanCorruption(header(context_length=570))(make_batch([[570]], 570), seed=0, position=0)
    assert pair.encoder_inputs.shape == (1, 568 - 85 + 28 + 2)  # bos and eos
    assert pair.targets.shape == (1, 114)


def test_the_sequential_denoiser_hides_the_end() -> None:
    batch = make_batch([[102]])
    pair = SpanCorruption(header(), (Denoiser(0.25, 0),))(batch, seed=0, position=0)
    text = batch.inputs[0, 1:101].tolist()
    highest = 242
    assert pair.encoder_inputs[0].tolist() == [BOS, *text[:75], highest, EOS]
    assert pair.targets[0].tolist() == [highest, *text[75:], EOS]


def test_denoisers_are_drawn_for_each_document() -> None:
    batch = make_batch([[6] * 80] * 20, 480)
    pair = SpanCorruption(header(), ul2("[R]", "[X]", "[S]"))(batch, seed=0, position=0)
    drawn = Counter(pair.encoder_inputs[pair.encoder_positions.eq(0) & pair.encoder_documents.gt(0)].tolist())
    assert sum(drawn.values()) == 1600
    for mode, share in ((240, 2 / 7), (241, 4 / 7), (242, 1 / 7)):
        assert abs(drawn[mode] / 1600 - share) < 4 * (share * (1 - share) / 1600) ** 0.5


def test_corruption_is_a_function_of_seed_and_position() -> None:
    batch = make_batch([[512]] * 4)
    objective = SpanCorruption(header())
    first = objective(batch, 1, 10)
    assert all(torch.equal(a, b) for a, b in zip(first, objective(batch, 1, 10)))
    later = objective(Batch(*(tensor[1:] for tensor in batch)), 1, 11)
    assert torch.equal(later.targets, first.targets[1:])
    assert not torch.equal(objective(batch, 2, 10).targets, first.targets)
    assert not torch.equal(objective(batch, 1, 14).targets, first.targets)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskedLanguageModel(header(), "<msk>"), "'<msk>' is no special token of the tokenizer; there are:"),
        (lambda: MaskedLanguageModel(header(), "<mask>", 0), "share: 0 is not above 0"),
        (lambda: SpanCorruption(header(), ul2("[Q]")), r"'\[Q\]' is no special token"),
        (lambda: SpanCorruption(header(), (Denoiser(1, 3),)), "density: 1 is not between"),
        (
            lambda: SpanCorruption(header(special_ids={"<eos>": 0, "<bos>": 1, "<pad>": 2, "<a>": 3})),
            "a document of 512 tokens has 26 spans, the tokenizer has 1 reserved special tokens",
        ),
        (
            lambda: SpanCorruption(
                header(fill_in_the_middle=FillInTheMiddle(rate=1, spm_rate=0, prefix="[R]", middle="[X]", suffix="[S]"))
            ),
            "fill_in_the_middle: span corruption",
        ),
    ],
)
def test_what_the_tokenizer_lacks_is_refused_by_name(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_batches_of_shards_are_masked(corpus) -> None:
    found = shards.read.open(corpus / "shards")
    batch = read_batch(found.split("train"), np.arange(20))
    masked = MaskedLanguageModel(found.header, "<|padding|>")(batch, seed=0, position=0)  # the test's only spare token
    chosen = masked.targets != IGNORE
    assert not np.isin(batch.inputs[chosen], list(found.header.special_ids.values())).any()
    numbers = set(batch.documents.flatten().tolist()) - {0}
    with_text = {n for n in numbers if (batch.inputs[batch.documents == n] > 2).any()}
    assert set(batch.documents[chosen].tolist()) == with_text
