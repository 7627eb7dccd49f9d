"""What a run reads: shards, and the tokenizer that they were made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import shards.read
from pretrain.config import PretrainConfig
from pretrain.origin import MismatchError, Origin
from shards.format import SetHeader
from shards.manifest import MANIFEST
from shards.read import ShardSet, Split
from tokenizer.encode import Encoder, load
from tokenizer.vocabulary import sha256, token_bytes


@dataclass(frozen=True)
class Inputs:
    """An opened shard set with its tokenizer, known to belong together."""

    shards: ShardSet
    encoder: Encoder
    token_bytes: npt.NDArray[np.int64]  # [V]: bytes of text that each token stands for, 0 for special tokens

    @property
    def header(self) -> SetHeader:
        """What all shards share: vocabulary, context length, special ids."""
        return self.shards.header

    @property
    def train(self) -> Split:
        """The train split."""
        return self.shards.split("train")

    @property
    def validation(self) -> Split | None:
        """The validation split, None where it is absent or empty."""
        split = self.shards.split("validation") if "validation" in self.shards.manifest.splits else None
        return split if split else None

    def steps(self, config: PretrainConfig) -> int:
        """Optimizer steps of a run of `config` on these shards."""
        return config.total_steps(len(self.train), self.header.context_length)

    def origin(self, config: PretrainConfig) -> Origin:
        """What a run of `config` on these shards computes from."""
        return Origin(
            order_digest=self.shards.manifest.order_digest,
            packing_config=self.header.config_hash,
            tokenizer_sha256=self.header.tokenizer_sha256,
            vocabulary=self.header.vocabulary_size,
            context=self.header.context_length,
            trajectory={"steps": self.steps(config), **config.trajectory()},
            shards_version=self.shards.manifest.version,
            shards_digest=self.shards.manifest.digest,
        )


def open_inputs(shards_dir: Path, tokenizer_dir: Path) -> Inputs:
    """Open both. Raises FileNotFoundError where one is not there, MismatchError where the tokenizer is not the shards'
    own, ValueError for shards without train rows, and what `shards.read.open` raises.
    """
    if not (shards_dir / MANIFEST).is_file():
        raise FileNotFoundError(f"there are no shards in {shards_dir}")
    found = shards.read.open(shards_dir)
    header, digest = found.header, sha256(tokenizer_dir)
    if digest != header.tokenizer_sha256:
        raise MismatchError(
            f"{shards_dir} was made with tokenizer {header.tokenizer_sha256}, {tokenizer_dir} is {digest}"
        )
    if "train" not in found.manifest.splits or not found.manifest.splits["train"].rows:
        raise ValueError(f"{shards_dir} has no train rows: nothing to learn from")
    sizes = np.zeros(header.vocabulary_size, np.int64)  # an id that no token has stands for nothing
    known = token_bytes(tokenizer_dir)
    sizes[: len(known)] = known
    return Inputs(found, load(tokenizer_dir), sizes)
