"""Loss and bits per byte against sums worked out token by token, and the unigram baseline against counting."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from pretrain.config import PretrainConfig
from pretrain.data import spread_rows
from pretrain.evaluate import evaluate, unigram_bits_per_byte
from pretrain.inputs import open_inputs
from pretrain.model import Decoder
from pretrain.parallel import ALONE
from pretrain.sample import choose, generate, write_samples

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(corpus):
    return open_inputs(corpus / "shards", corpus / "tokenizer")


@pytest.fixture(scope="module")
def model(inputs, config):
    return Decoder(config.model, inputs.header.vocabulary_size, seed=1)


def predictions(inputs, rows):
    """(bucket, document's tokens so far, target) of every target that a loss counts."""
    split = inputs.validation
    for row in rows:
        bucket = split.locate(int(row))[0].entry.bucket
        tokens = split.row(int(row)).astype(int).tolist()
        for piece in split.pieces(int(row)):
            first, last = int(piece["start"]), int(piece["start"] + piece["length"])
            for i in range(first + 1, last):
                yield bucket, tokens[first:i], tokens[i]


def test_scores_against_brute_force(inputs, model, config):
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"rows": 6})})
    rows = spread_rows(inputs.validation, 6)
    scores = evaluate(model, inputs, config, ALONE)
    special = set(inputs.header.special_ids.values())
    sums = {}
    with torch.no_grad():
        for bucket, seen, target in predictions(inputs, rows):
            nats = -float(model(torch.tensor([seen]))[0, -1].double().log_softmax(0)[target])
            size = 0 if target in special else byte_count(inputs, target)
            for key in (bucket, None):
                total = sums.setdefault(key, np.zeros(4))
                total += [nats, 1, nats if size else 0, size]
    for key, (nats, targets, text_nats, size) in sums.items():
        part = scores if key is None else scores["buckets"][key]
        assert part["loss"] == pytest.approx(nats / targets, rel=1e-5)
        assert part["bits_per_byte"] == pytest.approx(text_nats / math.log(2) / size, rel=1e-5)
        assert (part["targets"], part["bytes"]) == (targets, size)
    assert set(scores["buckets"]) == {"mill", "river"}


def byte_count(inputs, token: int) -> int:
    """Bytes of a token, apart from the table under test: a byte-level vocabulary spells each byte as one letter."""
    return len(inputs.encoder._tokenizer.id_to_token(token))


def test_unigram_baseline_against_counting(inputs, config):
    counts = Counter()
    for row in range(len(inputs.train)):
        counts.update(inputs.train.row(row).tolist())
    special = set(inputs.header.special_ids.values())
    text = [token for token in range(inputs.header.vocabulary_size) if token not in special]
    total = sum(counts[token] + 1 for token in text)
    nats = size = 0.0
    for _, _, target in predictions(inputs, spread_rows(inputs.validation, config.evaluation.rows)):
        if target not in special:
            nats -= math.log((counts[target] + 1) / total)
            size += byte_count(inputs, target)
    assert unigram_bits_per_byte(inputs, config) == pytest.approx(nats / math.log(2) / size)


def test_a_uniform_model_scores_the_logarithm_of_the_vocabulary(inputs, config):
    model = Decoder(config.model, inputs.header.vocabulary_size)
    with torch.no_grad():
        model.model.norm.weight.zero_()
    scores = evaluate(model, inputs, config, ALONE)
    assert scores["loss"] == pytest.approx(math.log(inputs.header.vocabulary_size), rel=1e-6)


def test_micro_batch_does_not_matter(inputs, model, config):
    one, many = (evaluate(model, inputs, config.model_copy(update={"micro_batch": n}), ALONE) for n in (1, 8))
    assert one["loss"] == pytest.approx(many["loss"], rel=1e-6)
    assert one["buckets"].keys() == many["buckets"].keys()


def test_samples_repeat_by_seed_and_begin_with_the_prompt(inputs, model, config):
    texts = [write_samples(model, inputs.encoder, inputs.header, config.sample, seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert [text["prompt"] for text in texts[0]] == list(config.sample.prompts)


def test_samples_hold_no_special_token_and_stay_within_the_window(inputs, model):
    header = inputs.header
    config = PretrainConfig().sample.model_copy(update={"tokens": 60, "temperature": 5.0, "top_k": 10**6})
    drawn = [generate(model, [1], header, config, torch.Generator().manual_seed(seed)) for seed in range(3)]
    assert not set(header.special_ids.values()) & {token for tokens in drawn for token in tokens}
    assert max(map(len, drawn)) > header.context_length


def test_choose_takes_the_top_in_proportion():
    logits = torch.tensor([0.0, math.log(3.0), 9.0, -50.0])
    generator = torch.Generator().manual_seed(0)
    assert choose(logits, 0.0, 4, generator) == 2
    assert {choose(logits, 100.0, 1, generator) for _ in range(20)} == {2}
    logits[2] = float("-inf")
    drawn = Counter(choose(logits, 1.0, 2, generator) for _ in range(2000))
    assert set(drawn) == {0, 1}
    assert drawn[1] / 2000 == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize("temperature", [1e-3, 1e-40, 5e-324])
def test_a_low_temperature_takes_the_largest(temperature):
    logits = torch.tensor([30.0, -5.0, 31.0, float("-inf")])
    assert choose(logits, temperature, 4, torch.Generator().manual_seed(0)) == 2


def test_vocabulary_entries_that_no_token_has_count_no_bytes(inputs):
    assert len(inputs.token_bytes) == inputs.header.vocabulary_size
    assert (inputs.token_bytes[list(inputs.header.special_ids.values())] == 0).all()
    assert int((inputs.token_bytes == 0).sum()) == len(inputs.header.special_ids)
