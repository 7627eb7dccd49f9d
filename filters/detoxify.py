"""Detoxify's models (Hanu and Unitary 2020) from a local directory: the second opinion on toxicity.

Needs the extra `detoxify` (torch and transformers), which is imported when a model is built and not before.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from filters.assets import AssetError, asset

if TYPE_CHECKING:
    import torch

WEIGHTS = (".safetensors", ".ckpt")
CLASSES = ("toxicity", "toxic")  # Detoxify renames the second, of its first model, to the first
# A batch is always this many texts, padded to a multiple of so many tokens: its shape decides the last bits of the
# scores, and so does not depend on which other texts are there.
ROWS = 8
TOKENS = 64
_OPTION = "toxicity.second"
# Tables of positions that older versions of transformers stored with the weights and newer ones compute.
_COMPUTED = re.compile(r"(.*\.)?position_ids")


class Detoxify:
    """The probability of the class `toxicity`, as Detoxify 0.5.2 computes it: the sigmoid of its logit.

    A text is cut off behind the tokens that the tokenizer's `model_max_length` allows, as Detoxify does.
    """

    def __init__(self, directory: Path | str, digests: Mapping[str, str]) -> None:
        """Load a model; nothing is downloaded, and no file is read but those that `digests` names.

        Args:
            directory: Holds the weights (one `.safetensors`, or a `.ckpt` as Detoxify releases it), transformers'
                `config.json` and the tokenizer's files.
            digests: SHA-256 of each file by its name.

        The classes are those that a `.ckpt` names, or else `id2label` of `config.json`. A `.ckpt` is read without
        unpickling: tensors, numbers, strings and containers of them, nothing else (PyTorch's `weights_only`).

        Raises:
            AssetError: The extra is not installed; a file is missing, altered or named without a digest; the files are
                no such model. The message names the file.
        """
        try:
            import torch
            import transformers
        except ImportError as error:
            raise AssetError(f"{_OPTION}: {error}; install gristmill[detoxify]") from error
        directory = Path(directory)
        weights = [name for name in digests if name.endswith(WEIGHTS)]
        if len(weights) != 1 or "config.json" not in digests:
            names = ", ".join(digests) or "nothing"
            raise AssetError(
                f"{_OPTION}.digests: wanted are config.json, the tokenizer's files and one file of weights "
                f"({' or '.join(WEIGHTS)}); it names {names}"
            )
        with tempfile.TemporaryDirectory() as checked:
            for name, digest in digests.items():
                path = asset(f"{_OPTION}.directory", directory / name, digest)
                (Path(checked) / path.name).symlink_to(path.resolve())
            try:
                state, classes = _read_weights(directory / weights[0])
                config = transformers.AutoConfig.from_pretrained(checked, local_files_only=True)
                classes = classes or [config.id2label[i] for i in range(config.num_labels)]
                config.num_labels = len(classes)
                model = transformers.AutoModelForSequenceClassification.from_config(config)
                _fill(model, state)
                self._tokenizer = transformers.AutoTokenizer.from_pretrained(checked, local_files_only=True)
            except Exception as error:  # of three libraries, each with its own
                raise AssetError(f"{_OPTION}.directory: {directory}: no such model: {error}") from error
        found = [name for name in CLASSES if name in classes]
        if not found:
            raise AssetError(f"{_OPTION}: {directory / weights[0]} knows no class {CLASSES[0]}: {', '.join(classes)}")
        self._class = classes.index(found[0])
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.to(self._device, torch.float32).eval()

    def __call__(self, texts: list[str]) -> NDArray[np.float64]:
        """The score of each text, float64 [texts], 0 to 1.

        Texts of about the same length are scored together, on the GPU where there is one.
        """
        if not texts:
            return np.empty(0)
        ids = self._tokenizer([_encodable(text) for text in texts], truncation=True)["input_ids"]
        widths = np.array([-(-len(tokens) // TOKENS) * TOKENS for tokens in ids])
        scores = np.empty(len(texts))
        for width in np.unique(widths):
            rows = np.flatnonzero(widths == width)
            for start in range(0, len(rows), ROWS):
                some = rows[start : start + ROWS]
                scores[some] = self._score(
                    [ids[row] for row in some], min(int(width), self._tokenizer.model_max_length)
                )
        return scores

    def _score(self, ids: list[list[int]], width: int) -> NDArray[np.float64]:
        import torch

        tokens = np.full((ROWS, width), self._tokenizer.pad_token_id)
        mask = np.zeros((ROWS, width), np.int64)
        mask[:, 0] = 1  # rows without a text
        for row, text in enumerate(ids):
            tokens[row, : len(text)] = text
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            inputs = (torch.from_numpy(array).to(self._device) for array in (tokens, mask))
            logits = self._model(**dict(zip(("input_ids", "attention_mask"), inputs))).logits
            scores: NDArray[np.float64] = torch.sigmoid(logits[: len(ids), self._class]).double().cpu().numpy()
        return scores


def _read_weights(path: Path) -> tuple[dict[str, "torch.Tensor"], list[str]]:
    """Tensors by name, and the classes where the file names them."""
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path), []
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint["state_dict"], checkpoint["config"]["dataset"]["args"]["classes"]


def _fill(model: "torch.nn.Module", state: dict[str, "torch.Tensor"]) -> None:
    """Give a model its weights. Raises ValueError where one is missing or left over."""
    found = model.load_state_dict(state, strict=False)
    strangers = [name for name in found.unexpected_keys if not _COMPUTED.fullmatch(name)]
    if found.missing_keys or strangers:
        raise ValueError(f"weights missing: {found.missing_keys[:3]}, left over: {strangers[:3]}")


def _encodable(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which UTF-8 cannot write."""
    return text.encode("utf-8", "replace").decode("utf-8")
