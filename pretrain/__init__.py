"""A language model from shards: `pretrain.train.run` trains it, or goes on where it stopped.

What it computes: `model`, `attention`, `optimizer`, `update`. What it reads: `config`, `inputs`, `data`. What it
writes: `checkpoint`, `metrics`. What it is worth: `evaluate`, `sample`; both for a run that is there: `runs`, `cli`.
"""

import os

# OpenMP's threads wait for each other by spinning; beside other work on the machine that costs up to nine tenths of the
# speed (1,200 against 4,500 tokens/s of a small model on two busy cores). Read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
