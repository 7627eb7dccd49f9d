"""litgpt's pretraining: `python run_litgpt.py PLAN OUT THREADS`, in an environment that has it.

PLAN is the folder that `train_speed.py` makes. `litgpt.pretrain.setup` trains, with its own loop, logger and optimizer;
ours are the data module, which hands out the planned rows, and the learning rate of each step. The last line is a JSON
object: `stamps`, the seconds at which each step began, and the last one ended. OUT/model.safetensors are the weights at
the end, by litgpt's own conversion.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import litgpt.pretrain
import numpy as np
import torch
from litgpt.args import EvalArgs, TrainArgs
from litgpt.config import Config
from litgpt.data import DataModule
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from litgpt.scripts.convert_lit_checkpoint import copy_weights_llama
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset


class Rows(Dataset):
    """Rows [n, L + 1], and when the first of each batch was asked for."""

    def __init__(self, rows: np.ndarray, batch: int):
        self.rows, self.batch = rows, batch
        self.stamps: list[float] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> torch.Tensor:
        if i % self.batch == 0:
            self.stamps.append(time.perf_counter())
        return torch.from_numpy(self.rows[i].astype(np.int64))


class Planned(DataModule):
    """The planned rows, one after another; litgpt looks at two batches for validation before it begins."""

    def __init__(self, rows: np.ndarray, batch: int):
        super().__init__()
        self.train, self.validation = Rows(rows, batch), Rows(rows[: 2 * batch], batch)

    def connect(self, *_: Any, **__: Any) -> None:
        pass

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, self.train.batch)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.validation, self.train.batch)


def config_of(model: dict[str, Any], plan: dict[str, Any]) -> Config:
    return Config(
        name="llama",
        block_size=plan["context"],
        n_layer=model["layers"],
        n_embd=model["hidden"],
        n_head=model["heads"],
        n_query_groups=model["kv_heads"],
        intermediate_size=model["intermediate"],
        vocab_size=plan["vocabulary"],
        padded_vocab_size=plan["vocabulary"],
        rotary_percentage=1.0,
        rope_base=int(model["rope_theta"]),
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=model["norm_eps"],
        mlp_class_name="LLaMAMLP",
    )


def main(folder: Path, out: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    plan = json.loads((folder / "plan.json").read_text())
    settings = plan["config"]
    optimizer, batch = settings["optimizer"], plan["batch"]
    config = config_of(settings["model"], plan)
    initial: dict[str, torch.Tensor] = {}
    copy_weights_hf_llama(config, {}, initial, load_file(folder / "initial" / "model.safetensors"))
    (out / "initial").mkdir(parents=True)
    torch.save(initial, out / "initial" / "lit_model.pth")
    data = Planned(np.load(folder / "rows.npy"), batch)
    litgpt.pretrain.get_lr = lambda _, step, *__: plan["rates"][step]
    litgpt.pretrain.setup(
        model_name="llama",
        model_config=config,
        out_dir=out / "litgpt",
        precision="32-true",
        initial_checkpoint_dir=out / "initial",
        data=data,
        train=TrainArgs(
            save_interval=None,
            global_batch_size=batch,
            micro_batch_size=batch,
            max_tokens=plan["steps"] * batch * plan["context"],
            max_norm=optimizer["clip"],
            tie_embeddings=settings["model"]["tied_embeddings"],
        ),
        eval=EvalArgs(interval=plan["steps"] + 1, final_validation=False),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {key: optimizer[key] for key in ("lr", "betas", "eps", "weight_decay")},
        },
        devices=1,
        logger_name="csv",
    )
    trained = torch.load(out / "litgpt" / "final" / "lit_model.pth", weights_only=False)["model"]
    weights: dict[str, torch.Tensor] = {}
    copy_weights_llama(config, weights, trained, untie_weights=True)  # leaves out what is the embedding
    save_file({name: weight.contiguous() for name, weight in weights.items()}, out / "model.safetensors")
    print(json.dumps({"stamps": data.train.stamps}))


if __name__ == "__main__":
    arguments, sys.argv[1:] = (
        sys.argv[1:],
        ["llama"],
    )  # litgpt saves the arguments of its own command, which it reads there
    main(Path(arguments[0]), Path(arguments[1]), int(arguments[2]))
