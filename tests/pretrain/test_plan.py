"""Plans: shapes against the model, memory against autograd, refusals, the command and the config that it writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from pretrain.config import ModelConfig, PretrainConfig
from pretrain.devices import DEVICES, device_named, device_of
from pretrain.laws import BESIROGLU, HOFFMANN
from pretrain.memory import RECIPES, Layout, activation_bytes, device_memory, state_memory
from pretrain.model import Decoder, parameter_count
from pretrain.plan import make_plan
from pretrain.plan_cli import plan_command
from pretrain.plan_config import batch_tokens, page, peak_learning_rate
from pretrain.plan_request import ask
from pretrain.shape import count_parameters, match_shape
from pretrain.train import run

app = typer.Typer()
app.command("plan")(plan_command)


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})


@pytest.mark.parametrize(
    "shape",
    [
        ModelConfig(),
        ModelConfig(layers=3, hidden=96, heads=6, kv_heads=6, intermediate=200, tied_embeddings=False),
        match_shape(3e6, 1000),
    ],
)
def test_parameters_are_those_of_the_model(shape):
    model = Decoder(shape, 1000)
    count = count_parameters(shape, 1000)
    assert count.all == parameter_count(model)
    assert count.layer == parameter_count(model.model.layers[0])
    embeddings = {model.model.embed_tokens.weight, model.lm_head.weight}
    assert count.embedding == sum(matrix.numel() for matrix in embeddings)


@pytest.mark.parametrize("parameters", [2e7, 1.24e8, 1e9, 7e9, 7.2e10, 1e12])
def test_a_shape_to_match(parameters):
    shape = match_shape(parameters, 32_000)
    assert count_parameters(shape, 32_000).all == pytest.approx(parameters, rel=0.03)
    assert shape.hidden % 64 == shape.intermediate % 64 == 0
    assert shape.hidden // shape.heads in (64, 128)
    assert 30 < shape.hidden / shape.layers < 260
    assert 2.5 < shape.intermediate / shape.hidden < 2.9
    if shape.hidden >= 2048:
        assert shape.hidden % 128 == shape.intermediate % 128 == 0


def test_state_memory_of_175_billion_parameters():
    found = {recipe.name: state_memory(175e9, recipe) for recipe in RECIPES}
    assert [round(value / 1e10) for value in found.values()] == [280, 280, 315, 350]  # 2.8, 2.8, 3.15, 3.5 TB
    assert "gradients in both" in list(found)[3]
    assert "float32 gradients and master" in list(found)[2]
    plan = make_plan(ask(parameters=175e9, tokens={"web": 300_000_000_000}))
    assert {state.recipe: state.bytes for state in plan.states} == found
    assert [state.bytes_per_parameter for state in plan.states] == [16, 16, 18, 20]


def test_activations_are_what_autograd_keeps():
    """Per block and token, by the difference between two depths and two lengths; CPU norms keep 8 H more."""

    def kept(layers: int, tokens: int) -> int:
        shape = ModelConfig(layers=layers, hidden=128, heads=4, kv_heads=2, intermediate=384)
        model, tensors = Decoder(shape, 64), []

        def pack(tensor):
            tensors.append(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16):
            model(torch.zeros(1, tokens, dtype=torch.long))
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    measured = (kept(3, 256) - kept(1, 256) - kept(3, 128) + kept(1, 128)) / (2 * 128)
    shape = ModelConfig(hidden=128, heads=4, kv_heads=2, intermediate=384)
    assert measured == pytest.approx(activation_bytes(shape) + 8 * shape.hidden, rel=0.02)


def test_memory_by_layout():
    shape = match_shape(1e9, 32_000)

    def need(kind: str, devices: int, checkpointing: bool = False):
        return device_memory(shape, 32_000, 2048, 4, Layout(kind, devices, checkpointing))

    one, ddp, four, eight = need("one process", 1), need("ddp", 8), need("fsdp2", 4), need("fsdp2", 8)
    assert one.total == ddp.total
    assert one.state == 4 * four.state == 8 * eight.state == 16 * count_parameters(shape, 32_000).all
    assert one.total > four.total > eight.total
    saved = need("fsdp2", 8, checkpointing=True)
    assert saved.activations < eight.activations / 5
    assert saved.state == eight.state


def test_devices():
    assert device_named("h100").flops == 989e12
    for driver, name in (
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX-4090"),
        ("AMD Instinct MI300X", "MI300X"),
    ):
        found = device_of(driver)
        assert found is not None
        assert found.name == name
    for unknown in ("NVIDIA L40", "NVIDIA GeForce RTX 4090 Laptop GPU", "Tesla T4", ""):
        assert device_of(unknown) is None
    with pytest.raises(ValueError, match="did you mean H100"):
        device_named("H10")
    assert len({device.name.lower() for device in DEVICES}) == len(DEVICES)


def test_a_plan_by_flops_is_the_laws_optimum():
    plan = make_plan(ask(flops=5.76e23))
    assert (plan.parameters, plan.tokens) == pytest.approx(BESIROGLU.optimum(5.76e23))
    assert plan.loss == BESIROGLU.loss(plan.parameters, plan.tokens)
    losses = {best.law: best.loss for best in plan.optima}
    assert losses["kaplan"] == pytest.approx(1.71, abs=0.005)
    assert losses["chinchilla"] == HOFFMANN.loss(*HOFFMANN.optimum(5.76e23))
    assert plan.data is None
    assert plan.cost is None
    assert any("above the 1.6e+10" in warning for warning in plan.warnings)


def test_device_hours_are_flops():
    plan = make_plan(ask(device="h100", devices=8, hours=24, mfu=0.4, price=2.5))
    assert plan.flops == pytest.approx(8 * 989e12 * 0.4 * 24 * 3600)
    assert plan.cost is not None
    assert plan.cost.hours == pytest.approx(24)
    assert plan.cost.total == pytest.approx(8 * 24 * 2.5)
    assert plan.cost.mfu_with_attention > 0.4
    assert plan.layout is not None
    assert plan.layout.total <= 0.9 * 80e9
    assert plan.layout.devices == 8
    again = make_plan(ask(flops=plan.flops, device="H100", devices=8))
    assert again.cost is not None
    assert again.cost.hours == pytest.approx(24)


def test_a_corpus_alone_is_read_once():
    plan = make_plan(ask(tokens={"web": 8_000_000_000, "code": 2_000_000_000}))
    assert plan.tokens == pytest.approx(1e10)
    assert plan.parameters == pytest.approx(BESIROGLU.parameters_for(1e10))
    assert plan.data is not None
    assert plan.data.epochs == pytest.approx(1)
    fixed = make_plan(ask(tokens={"web": 1_400_000_000_000}, parameters=70e9, law="chinchilla"))
    assert fixed.loss == pytest.approx(1.9366, abs=1e-4)
    assert fixed.shape_loss == pytest.approx(1.9366, abs=1e-3)


def test_a_small_corpus_is_repeated_and_warned_of():
    few = make_plan(ask(flops=1e21, tokens={"web": 2_000_000_000}))
    free = make_plan(ask(flops=1e21))
    assert few.data is not None
    assert few.data.epochs > 4
    assert few.data.worth < few.tokens
    assert few.parameters < free.parameters
    assert few.loss > free.loss
    assert few.loss == pytest.approx(min(loss for _, loss in few.curve))
    assert any("epochs" in warning for warning in few.warnings)


def test_serving_trains_a_smaller_model_longer():
    plan, free = make_plan(ask(flops=1e21, serve=1e13)), make_plan(ask(flops=1e21))
    assert plan.serving is not None
    assert plan.parameters < free.parameters
    assert plan.tokens > free.tokens
    assert plan.loss == pytest.approx(free.loss)
    assert plan.serving.flops < plan.serving.optimal_flops
    assert plan.flops > 1e21
    assert any("times the budget" in warning for warning in plan.warnings)


@pytest.mark.parametrize("flops", [1e12, 1e18, 1e30])
def test_any_budget_has_a_plan_and_a_config(flops):
    plan = make_plan(ask(flops=flops, device="RTX-3090", devices=2))
    json.dumps(plan.model_dump(mode="json"), allow_nan=False)
    again = PretrainConfig.model_validate(yaml.safe_load(page(plan.config, "a comment"))["pretrain"])
    assert again == plan.config
    assert again.tokens == plan.shape_tokens
    assert again.batch_tokens % (2 * 2048) == 0
    assert again.schedule.warmup < again.total_steps(1, 2048)


def test_batch_and_learning_rate_of_deepseeks_own_model():
    assert batch_tokens(5.76e23) == pytest.approx(1.73e7, rel=0.01)
    assert peak_learning_rate(5.76e23) == pytest.approx(3.3e-4, rel=0.02)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no budget"),
        ({"flops": -1}, "flops"),
        ({"flops": float("nan")}, "flops"),
        ({"flops": 1e20, "hours": 1, "device": "H100"}, "twice"),
        ({"hours": 3}, "needs a device"),
        ({"flops": 1e20, "price": 2}, "price"),
        ({"device": "H10", "hours": 3}, "did you mean H100"),
        ({"device": "H100", "hours": 0}, "hours"),
        ({"device": "H100", "hours": 1, "mfu": 1.5}, "mfu"),
        ({"device": "H100", "hours": 1, "devices": 0}, "devices"),
        ({"flops": 1e20, "tokens": {}}, "tokens: there are none"),
        ({"flops": 1e20, "tokens": {"web": -5}}, "tokens: web"),
        ({"flops": 1e20, "law": "chinchila"}, "did you mean chinchilla"),
        ({"flops": 1e20, "vocabulary": 0}, "vocabulary"),
        ({"flops": 1e20, "serve": 1e12, "parameters": 1e9}, "parameters and serve"),
        ({"flops": 1e20, "flop": 1e20}, "flop"),
        ({"flops": 5.76}, "flops: .*a PF-day has"),
        ({"flops": 1e300}, "flops: .*not 1e"),
        ({"peak": 989, "hours": 1}, "peak: .*FLOP/s"),
        ({"device": "H100", "hours": 1, "mfu": float("nan")}, "mfu: .*not nan"),
        ({"device": "H100", "hours": 1, "devices": 10**9}, "devices: .*not"),
        ({"flops": 1e20, "parameters": 70}, "parameters: .*billions"),
        ({"flops": 1e20, "serve": 1e30}, "serve: "),
        ({"flops": 1e20, "vocabulary": 10**12}, "vocabulary: "),
        ({"flops": 1e20, "context": 1 << 31}, "context: "),
        ({"tokens": {"web": 10**300}}, "tokens: web"),
        ({"tokens": {"": 10**9}}, "tokens: a source has no name"),
    ],
)
def test_nonsense_is_refused_by_name(fields, words):
    with pytest.raises(ValueError, match=words) as caught:
        ask(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"flops": 1e20, "parameters": 1e17},
        {"tokens": {"web": 5}},
        {"flops": 1e15, "device": "H100", "devices": 100_000},
    ],
)
def test_a_run_shorter_than_a_step_is_refused(fields):
    with pytest.raises(ValueError, match="not for one step"):
        make_plan(ask(**fields))


@pytest.mark.parametrize(
    ("flops", "devices", "parallel", "checkpointing"),
    [(1e19, 1, "auto", False), (1e19, 8, "ddp", False), (1e22, 8, "fsdp", False), (6e22, 16, "fsdp", True)],
)
def test_the_config_is_spread_as_the_layout_that_fits(flops, devices, parallel, checkpointing):
    plan = make_plan(ask(flops=flops, device="A100-40GB" if checkpointing else "H100", devices=devices))
    assert plan.layout is not None
    assert plan.layout.checkpointing == checkpointing
    assert plan.config.parallel == parallel
    assert plan.config.activation_checkpointing == checkpointing


def test_the_command_plans_from_shards_a_run_that_trains(corpus, tmp_path):
    path = tmp_path / "plan.yaml"
    result = invoke(corpus, "--json", "--write-config", path)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["data"]["sources"].keys() == {"mill", "river"}
    assert found["data"]["epochs"] == pytest.approx(1)
    config = PretrainConfig.model_validate(yaml.safe_load(path.read_text())["pretrain"])
    summary = run(config, corpus / "shards", corpus / "tokenizer", tmp_path)
    assert summary["parameters"] == found["shape_parameters"]
    assert 0 <= summary["tokens"] - found["shape_tokens"] < config.batch_tokens
    assert summary["train_loss"] < 6


def test_a_page_keeps_the_config_of_the_corpus(corpus, tmp_path):
    (tmp_path / "shards").symlink_to(corpus / "shards")
    (tmp_path / "config.json").write_text(json.dumps({"name": "mine", "sources": [1], "pretrain": None}))
    path = tmp_path / "plan.yaml"
    assert invoke(tmp_path, "--write-config", path).exit_code == 0
    told = yaml.safe_load(path.read_text())
    assert told["sources"] == [1]
    assert told["pretrain"]["name"] == "plan"


def test_the_command_shows_tables_and_a_plot():
    result = invoke("--device", "h100", "--devices", 8, "--hours", 24, "--price", 2.5, "--tokens", "web=5e9")
    assert result.exit_code == 0, result.output
    for words in (
        "kaplan",
        "chinchilla-refit",
        "MT-NLG",
        "fsdp2 x 8",
        "480.00",
        "epochs",
        "o: this plan",
        "warning:",
        "web",
    ):
        assert words in result.output


def test_wrong_arguments_exit_with_2(tmp_path, corpus):
    for arguments, words in (
        ([], "no budget"),
        (["--flops", 0], "flops"),
        (["--flops", -1], "flops"),
        (["--device", "H10", "--hours", 1], "H100"),
        (["--tokens", "many"], "many"),
        (["--tokens", "0"], "none"),
        (["--tokens", "a=1e9", "--tokens", "a=1"], "twice"),
        ([tmp_path], "no shards"),
        ([corpus, "--tokens", "1e9"], "already"),
        (["--flops", 1e20, "--write-config", tmp_path / "nowhere" / "plan.yaml"], "nowhere"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.output


def test_planning_imports_no_torch():
    code = (
        "import sys; from pretrain.plan import make_plan; from pretrain.plan_request import ask; "
        "make_plan(ask(flops=1e20)); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("tokens", [10**6, 10**7, 10**9])
def test_cost_is_that_of_the_run_in_the_config(tokens):
    plan = make_plan(ask(tokens={"web": tokens}, device="H100", price=2.0))
    assert plan.flops == pytest.approx(6 * plan.shape_parameters * plan.shape_tokens)
    assert plan.cost is not None
    assert plan.cost.device_hours == pytest.approx(plan.flops / (989e12 * 0.4) / 3600)
    assert plan.cost.total == pytest.approx(2 * plan.cost.device_hours)
    assert plan.cost.mfu_with_attention < 1
    assert not any("the budget" in warning for warning in plan.warnings)
