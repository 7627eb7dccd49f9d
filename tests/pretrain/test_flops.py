"""FLOPs: against a count of every multiplication, and of what masks hide."""

import pytest
import torch

from pretrain.config import ModelConfig
from pretrain.data import Batch
from pretrain.devices import device_of
from pretrain.flops import peak_flops, step_flops
from pretrain.model import Decoder

SHAPE = ModelConfig(layers=2, hidden=32, heads=4, kv_heads=2, intermediate=48)
VOCABULARY = 50


def batch(documents: list[list[int]]) -> Batch:
    numbers = torch.tensor(documents)
    positions = torch.zeros_like(numbers)
    for row in range(len(numbers)):
        for i in range(1, numbers.shape[1]):
            same = numbers[row, i] == numbers[row, i - 1]
            positions[row, i] = positions[row, i - 1] + 1 if same and numbers[row, i] else 0
    return Batch(torch.zeros_like(numbers), numbers, numbers, positions)


def pairs(documents: list[list[int]], window: int | None) -> int:
    return sum(
        1
        for row in documents
        for i in range(len(row))
        for j in range(i + 1)
        if row[i] == row[j] != 0 and (window is None or i - j < window)
    )


@pytest.mark.parametrize("window", [None, 3])
def test_what_is_computed_is_counted(window):
    config = SHAPE.model_copy(update={"sliding_window": window})
    documents = [[1] * 5 + [2] * 4 + [0], [3] * 10]
    matrices = sum(p.numel() for p in Decoder(config, VOCABULARY).parameters() if p.ndim == 2)
    found = step_flops(config, VOCABULARY, batch(documents))
    attention = 3 * config.layers * config.heads * (config.hidden // config.heads) * 4 * pairs(documents, window)
    assert found == pytest.approx(6 * matrices * 19 + attention, rel=0.01)


def test_untied_embeddings_multiply_nothing():
    untied = SHAPE.model_copy(update={"tied_embeddings": False})
    documents = [[1] * 10]
    assert step_flops(untied, VOCABULARY, batch(documents)) == step_flops(SHAPE, VOCABULARY, batch(documents))


def test_padding_costs_nothing():
    assert step_flops(SHAPE, VOCABULARY, batch([[0] * 10])) == 0


def test_a_processor_has_no_peak():
    assert peak_flops(torch.device("cpu")) is None


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H200 NVL", 835e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("GRID A100-10C", None),
        ("NVIDIA L40S-12Q", None),
    ],
)
def test_a_form_or_a_slice_is_not_taken_for_the_full_device(name, flops):
    device = device_of(name)
    assert (None if device is None else device.flops) == flops
