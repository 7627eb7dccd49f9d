"""How fast a small model trains on a CPU, and how well: ours, a bare loop, litgpt 0.5.13, Hugging Face's Trainer.

A Llama of about 10M parameters learns from real texts that `packed.py` packs. All start from the same weights and read
the same rows in the same order, with the same batches, learning rate of every step, AdamW settings and clipping, in
float32, each in a process of its own on the same cores; peers have environments of their own. They take turns, in
`--rounds`, and a figure is the median of the rounds. With `--compile` all of them use torch.compile, else none does.
OpenMP's threads wait for each other in the same way (`--wait`): by spinning, which is best where the cores are idle,
as they have to be; our package by itself has them sleep, which costs less beside other work.

- bare: forward, backward, clip, step, and nothing else: our model, on random tokens, a row one document.
- ours: `pretrain.train.run` with all of its metrics. Documents in a row do not see each other, and the first token of
  one is not predicted from the one before. The end of its time is when the checkpoint at the end has been taken.
- ours_whole: the same on `whole/`, where a row is one document: what the peers compute, as they have no such mask.
- litgpt: `litgpt pretrain` as it is, with a data module that reads the rows; it decays norm weights as well.
- trainer: `transformers.Trainer` with `LlamaForCausalLM`.

`tokens_per_second` is from the beginning of a step to the end of another, so data, logging and the loop itself are in
it; the first fifth of the steps (compilation, memory) is not. `share_of_bare` is ours over bare, wanted: 0.9;
`data_wait` the part of our step time that goes into waiting for data, wanted: under 0.01; `ratio` and
`ratio_to_trainer` are ours over litgpt's and Trainer's, of one round each, `ratios` with their smallest and largest.
`loss`: of every model, after `--loss-steps`, in nats a token, by our evaluation of the same validation rows:
`by_document`, where documents do not see each other (as ours is trained), and `by_row` (as the others are). Each should
lead its own. What learning rate is best depends on what is computed, so all programs run with all `--rates`, and of
each its best counts; `losses` has all.
Lines that miss what is wanted are listed in `missed`, and the status is 1. The last line is a JSON object.
"""

import importlib.util
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pretrain"

if __name__ == "__main__":
    from peers.train_speed import main

    sys.exit(main(__doc__))
else:  # scripts of this folder find this file where they import the package `pretrain`: they get the package
    spec = importlib.util.spec_from_file_location(
        __name__, PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
