"""A language model from shards: `pretrain.train.run` trains it, or goes on where it stopped.

What it computes: `model`, `attention`, `optimizer`, `update`. What it reads: `config`, `inputs`, `data`. What it
writes: `checkpoint`, `metrics`. What it is worth: `evaluate`, `sample`; both for a run that is there: `runs`, `cli`.
"""
