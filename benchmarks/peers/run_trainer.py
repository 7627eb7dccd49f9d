"""Hugging Face's Trainer: `python run_trainer.py PLAN OUT THREADS`, in an environment that has it.

PLAN is the folder that `train_speed.py` makes. `transformers.Trainer` trains `LlamaForCausalLM` with its own loop,
optimizer and progress; ours are the planned rows and the learning rate of each step. The last line is a JSON object:
`stamps`, the seconds at which the first step began and each ended. OUT/model.safetensors are the weights at the end.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, SequentialSampler
from transformers import LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments


class Rows(Dataset):
    """Rows [n, L + 1] as the model takes them: L inputs, and the token after each."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        row = torch.from_numpy(self.rows[i].astype(np.int64))
        return {"input_ids": row[:-1], "labels": row[:-1], "shift_labels": row[1:]}


class Stamps(TrainerCallback):
    """When the first step began, and when each ended."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.stamps.append(time.perf_counter())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.stamps.append(time.perf_counter())


class InOrder(Trainer):
    """Reads the rows in their order, under the planned learning rates."""

    rates: list[float]

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        last = len(self.rates) - 1
        self.lr_scheduler = LambdaLR(self.optimizer, lambda step: self.rates[min(step, last)] / self.args.learning_rate)
        return self.lr_scheduler


def main(folder: Path, out: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    plan = json.loads((folder / "plan.json").read_text())
    settings = plan["config"]
    optimizer = settings["optimizer"]
    model = LlamaForCausalLM.from_pretrained(folder / "initial", dtype=torch.float32)
    arguments = TrainingArguments(
        output_dir=str(out / "trainer"),
        max_steps=plan["steps"],
        per_device_train_batch_size=plan["batch"],
        learning_rate=optimizer["lr"],
        adam_beta1=optimizer["betas"][0],
        adam_beta2=optimizer["betas"][1],
        adam_epsilon=optimizer["eps"],
        weight_decay=optimizer["weight_decay"],
        max_grad_norm=optimizer["clip"],
        save_strategy="no",
        report_to="none",
        remove_unused_columns=False,
        use_cpu=True,
        torch_compile=settings["compile"],
    )
    stamps = Stamps()
    trainer = InOrder(model, arguments, train_dataset=Rows(np.load(folder / "rows.npy")), callbacks=[stamps])
    trainer.rates = plan["rates"]
    trainer.train()
    weights = {name: weight.detach().contiguous() for name, weight in model.named_parameters()}
    save_file(weights, out / "model.safetensors")
    print(json.dumps({"stamps": stamps.stamps}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
