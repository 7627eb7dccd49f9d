"""Linear: the product that `torch.nn.functional.linear` gives, whichever kernel computes it."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.linear import LEAST, ONEDNN, Linear

INPUTS, OUTPUTS = 128, 40
MANY = LEAST // INPUTS  # tokens
SHAPES = [(MANY, INPUTS), (2, MANY, INPUTS), (1, INPUTS), (3, 5, INPUTS), (MANY - 1, INPUTS)]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_a_matrix_product(two_threads, shape):
    torch.manual_seed(0)
    layer, x, down = Linear(INPUTS, OUTPUTS), torch.randn(shape, requires_grad=True), torch.randn(*shape[:-1], OUTPUTS)
    out = layer(x)
    found = [out, *torch.autograd.grad(out, (x, layer.weight), down)]
    assert all(tensor.dtype == torch.float32 for tensor in found)
    x, weight = (tensor.detach().double().requires_grad_() for tensor in (x, layer.weight))
    out = F.linear(x, weight)
    for ours, exact in zip(found, [out, *torch.autograd.grad(out, (x, weight), down.double())]):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=1e-4)


def test_a_view_that_is_not_contiguous(two_threads):
    layer, x = Linear(INPUTS, OUTPUTS), torch.randn(INPUTS, MANY).T
    torch.testing.assert_close(layer(x), F.linear(x.contiguous(), layer.weight), rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not ONEDNN, reason="this PyTorch multiplies without MKL or has no oneDNN")
@pytest.mark.parametrize(
    ("tokens", "dtype", "kernel"),
    [
        (MANY, torch.float32, "aten::mkldnn_convolution"),
        (MANY - 1, torch.float32, "aten::mm"),
        (MANY, torch.float64, "aten::mm"),
    ],
)
def test_only_many_tokens_in_float32_go_to_onednn(two_threads, tokens, dtype, kernel):
    layer, x = Linear(INPUTS, OUTPUTS).to(dtype), torch.randn(tokens, INPUTS, dtype=dtype)
    with torch.profiler.profile() as profile:
        layer(x)
    called = {event.key for event in profile.key_averages()}
    assert called & {"aten::mkldnn_convolution", "aten::mm"} == {kernel}
