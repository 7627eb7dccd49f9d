"""The decoder against Hugging Face's, against itself on separate documents, and its gradient against float64."""

import pytest
import torch
import torch.nn.functional as F

from pretrain.config import ModelConfig
from pretrain.model import Decoder, parameter_count

SHAPE = {"layers": 3, "hidden": 48, "heads": 6, "kv_heads": 2, "intermediate": 80, "rope_theta": 5000.0}
VOCAB = 97


FAMILIES = {
    "Llama": {},
    "Qwen3": {"qk_norm": True},
    "Mistral": {"sliding_window": 9},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_state_dict_loads_into_hugging_face_and_logits_agree(family, tied):
    transformers = pytest.importorskip("transformers")
    ours = Decoder(ModelConfig(**SHAPE, **FAMILIES[family], tied_embeddings=tied), VOCAB, seed=3)
    with torch.no_grad():  # norm weights other than 1, so that a norm in the wrong place shows
        for parameter in ours.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
    settings = {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
        "tie_word_embeddings": tied,
        "max_position_embeddings": 64,
    }
    if family == "Mistral":
        settings["sliding_window"] = 9
    theirs = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**settings))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    tokens = torch.randint(0, VOCAB, (2, 40))
    with torch.no_grad():
        expected = theirs(tokens).logits
        found = ours(tokens)
    assert found.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert parameter_count(ours) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_documents_see_only_themselves(family):
    model = Decoder(ModelConfig(**SHAPE, **FAMILIES[family]), VOCAB, seed=1)
    lengths = [7, 1, 15, 4]
    tokens = torch.randint(0, VOCAB, (1, sum(lengths)))
    documents = torch.repeat_interleave(torch.tensor([3, 1, 2, 0]), torch.tensor(lengths))[None]
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    packed = model(tokens, documents, positions)[0].split(lengths)
    for part, alone in zip(packed, tokens[0].split(lengths)):
        torch.testing.assert_close(part, model(alone[None])[0], atol=2e-6, rtol=1e-5)
    assert not torch.allclose(packed[2], model(tokens)[0].split(lengths)[2], atol=1e-3)


def test_batch_rows_are_independent():
    model = Decoder(ModelConfig(**SHAPE), VOCAB, seed=1)
    tokens = torch.randint(0, VOCAB, (3, 20))
    documents = (torch.arange(20) >= torch.tensor([[5], [11], [20]])).long()
    torch.testing.assert_close(model(tokens, documents)[1], model(tokens[1:2], documents[1:2])[0], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "sliding_window": 2}])
def test_gradient_against_finite_differences_in_float64(options):
    shape = {"layers": 2, "hidden": 8, "heads": 2, "kv_heads": 1, "intermediate": 12, **options}
    model = Decoder(ModelConfig(**shape, tied_embeddings=False), 11, seed=5).double()
    tokens = torch.randint(0, 11, (2, 8), generator=torch.Generator().manual_seed(2))
    documents = torch.tensor([[1, 1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 1, 0, 0]])

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(tokens[:, :-1], documents).flatten(0, 1), tokens[:, 1:].flatten())

    loss().backward()
    step = 1e-5
    random = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        flat = parameter.data.view(-1)
        for i in torch.randperm(len(flat), generator=random)[:12].tolist():
            kept = float(flat[i])
            values = []
            for moved in (kept + step, kept - step):
                flat[i] = moved
                with torch.no_grad():
                    values.append(float(loss()))
            flat[i] = kept
            numerical = (values[0] - values[1]) / (2 * step)
            assert float(parameter.grad.view(-1)[i]) == pytest.approx(numerical, rel=1e-4, abs=1e-8), f"{name}[{i}]"


@pytest.mark.parametrize("options", [{}, {"qk_norm": True, "sliding_window": 9}])
def test_float32_gradient_against_float64(options):
    config = ModelConfig(**SHAPE, **options)
    tokens = torch.randint(0, VOCAB, (2, 33))
    gradients = []
    for dtype in (torch.float32, torch.float64):
        model = Decoder(config, VOCAB, seed=9).to(dtype)
        F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
        gradients.append([p.grad.double() for p in model.parameters()])
    for low, high in zip(*gradients):
        assert (low - high).norm() <= 1e-5 * high.norm()


def test_initial_weights_come_from_the_seed_alone():
    config = ModelConfig(**SHAPE, tied_embeddings=False)
    torch.manual_seed(1)
    first = Decoder(config, VOCAB, seed=1)
    torch.manual_seed(2)
    again, other = Decoder(config, VOCAB, seed=1), Decoder(config, VOCAB, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters()))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    with_norms = Decoder(config.model_copy(update={"qk_norm": True}), VOCAB, seed=1)
    assert torch.equal(first.lm_head.weight, with_norms.lm_head.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_initial_weights_are_the_same_on_every_device():
    config = ModelConfig(**SHAPE)
    with torch.device("cuda"):
        there = Decoder(config, VOCAB, seed=1)
    for ours, theirs in zip(Decoder(config, VOCAB, seed=1).parameters(), there.parameters()):
        assert torch.equal(ours, theirs.cpu())


def test_initial_scale():
    model = Decoder(ModelConfig(layers=8, hidden=256, heads=4, kv_heads=4, intermediate=512), 1000, seed=1)
    attention = model.model.layers[0].self_attn
    assert float(attention.q_proj.weight.detach().std()) == pytest.approx((2 / (5 * 256)) ** 0.5, rel=0.02)
    assert float(attention.o_proj.weight.detach().std()) == pytest.approx((2 / (5 * 256)) ** 0.5 / 4, rel=0.02)
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ({"hidden": 100, "heads": 3}, "hidden"),
        ({"heads": 4, "kv_heads": 3}, "kv_heads"),
        ({"depth": 2}, "depth"),
        ({"sliding_window": 0}, "sliding_window"),
    ],
)
def test_impossible_shapes_are_refused_by_name(shape, named):
    with pytest.raises(ValueError, match=named):
        ModelConfig(**shape)
