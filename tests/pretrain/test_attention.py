"""Attention over packed rows: against softmax written out, and the GPU's path against the CPU's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pretrain import attention
from pretrain.attention import attend, document_offsets
from pretrain.config import ModelConfig
from pretrain.model import Decoder, Layer

WINDOWS = [None, 1, 3, 100]


def random_inputs(rows: int, length: int, heads: int = 4, kv_heads: int = 2, dim: int = 8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(rows, length, count, dim) for count in (heads, kv_heads, kv_heads)]
    return [torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]


def written_out(query: Tensor, key: Tensor, value: Tensor, documents: Tensor, window: int | None) -> Tensor:
    """Softmax over the tokens that one sees, by document number and distance."""
    length = query.shape[1]
    distance = torch.arange(length)[:, None] - torch.arange(length)
    seen = (documents[:, :, None] == documents[:, None, :]) & (distance >= 0) & (distance < (window or length))
    shared = query.shape[2] // key.shape[2]
    mixed = []
    for head in range(query.shape[2]):
        scores = query[:, :, head] @ key[:, :, head // shared].transpose(1, 2) / query.shape[-1] ** 0.5
        mixed.append(scores.masked_fill(~seen, float("-inf")).softmax(-1) @ value[:, :, head // shared])
    return torch.stack(mixed, dim=2)


def test_offsets_are_where_runs_of_numbers_begin():
    documents = torch.tensor([[3, 3, 1, 2, 2], [2, 2, 2, 0, 0]])
    assert document_offsets(documents).tolist() == [0, 2, 3, 5, 8, 10]
    assert document_offsets(documents).dtype == torch.int32
    assert document_offsets(torch.zeros(2, 3)).tolist() == [0, 3, 6]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@given(lengths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5), min_size=1, max_size=3))
def test_values_and_gradients_are_those_of_softmax_within_documents(window, kv_heads, lengths):
    longest = max(sum(row) for row in lengths)
    rows = [torch.repeat_interleave(torch.arange(1, len(row) + 1), torch.tensor(row)) for row in lengths]
    documents = torch.stack([torch.nn.functional.pad(row, (0, longest - len(row))) for row in rows])
    inputs = random_inputs(len(lengths), longest, kv_heads=kv_heads)
    found = attend(*inputs, document_offsets(documents), window)
    expected = written_out(*inputs, documents, window)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape, dtype=found.dtype, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(*(torch.autograd.grad((out * weights).sum(), inputs) for out in (found, expected))):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("window", WINDOWS)
def test_without_documents_a_row_is_one(window):
    inputs = random_inputs(3, 11)
    expected = written_out(*inputs, torch.ones(3, 11), window)
    torch.testing.assert_close(attend(*inputs, None, window), expected)


def test_gradients_against_finite_differences():
    offsets = document_offsets(torch.tensor([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 2]]))
    inputs = random_inputs(2, 6, dim=3)
    assert torch.autograd.gradcheck(lambda *tensors: attend(*tensors, offsets, 3), inputs)


def documented_varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, window_size, enable_gqa):
    """What `torch.nn.attention.varlen.varlen_attn` says that it computes, at its shapes and dtypes."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert cu_seq_q.diff().max() <= max_q
    assert enable_gqa or query.shape[1] == key.shape[1]
    left, right = window_size
    assert right == 0  # causal
    parts = []
    for begin, end in zip(cu_seq_q.tolist(), cu_seq_q[1:].tolist()):
        one = [tensor[None, begin:end] for tensor in (query, key, value)]
        parts.append(written_out(*one, torch.zeros(1, end - begin), None if left == -1 else left + 1)[0])
    return torch.cat(parts)


@pytest.fixture
def flash_path(monkeypatch):
    """The GPU's path, with a kernel that runs here."""
    monkeypatch.setattr(attention, "_has_flash", lambda value: True)
    monkeypatch.setattr(attention, "varlen_attn", documented_varlen_attn)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_the_kernel_of_gpus_is_called_as_it_asks(flash_path, window, kv_heads):
    documents = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 0], [1, 2, 2, 2, 2, 2, 2, 2]])
    inputs = random_inputs(2, 8, kv_heads=kv_heads)
    found = attend(*inputs, document_offsets(documents), window)
    torch.testing.assert_close(found, written_out(*inputs, documents, window))


@torch.library.custom_op("gristmill_tests::varlen", mutates_args=())
def opaque_varlen(query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, before: int) -> Tensor:
    window = (before, 0)
    return documented_varlen_attn(
        query, key, value, offsets, offsets, longest, longest, window_size=window, enable_gqa=True
    )


@opaque_varlen.register_fake
def _(query, key, value, offsets, longest, before):
    return torch.empty_like(query)


def test_a_block_compiles_whole_for_gpus_and_for_any_number_of_documents(monkeypatch):
    monkeypatch.setattr(attention, "_has_flash", lambda value: True)
    monkeypatch.setattr(
        attention,
        "varlen_attn",
        lambda query, key, value, offsets, _, longest, __, window_size, enable_gqa: opaque_varlen(
            query, key, value, offsets, longest, window_size[0]
        ),
    )
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    shape = {"layers": 3, "hidden": 32, "heads": 4, "kv_heads": 2, "intermediate": 48}
    model = Decoder(ModelConfig(**shape, qk_norm=True, sliding_window=4), 50)
    plain = Decoder(ModelConfig(**shape, qk_norm=True, sliding_window=4), 50)
    torch._dynamo.reset()
    model.compile(backend=backend, fullgraph=True)
    tokens = torch.arange(24).view(2, 12)
    with torch.no_grad():
        for length in (12, 4, 3, 2, 1):
            documents = torch.arange(12).div(length, rounding_mode="floor").expand(2, 12)
            assert torch.equal(model(tokens, documents), plain(tokens, documents))
    assert len(graphs) == 2  # the second holds for any number of documents
    assert isinstance(model.model.layers[0], Layer)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="FlashAttention needs a CUDA device")
@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_flash_attention_is_attention_by_document(window, kv_heads):
    lengths = torch.tensor([[1, 200, 55], [256, 0, 0]])
    documents = torch.stack([torch.repeat_interleave(torch.arange(3), row) for row in lengths])
    offsets = document_offsets(documents)
    inputs = random_inputs(2, 256, kv_heads=kv_heads, dim=64, dtype=torch.float32)
    on_gpu = [tensor.detach().to("cuda", torch.bfloat16).requires_grad_() for tensor in inputs]
    assert attention._has_flash(on_gpu[2])
    results = []
    for tensors, places in ((inputs, offsets), (on_gpu, offsets.cuda())):
        mixed = attend(*tensors, places, window)
        results.append([mixed, *torch.autograd.grad(mixed.float().square().sum(), tensors)])
    for expected, found in zip(*results):
        assert (found.float().cpu() - expected).norm() < 0.02 * expected.norm()
