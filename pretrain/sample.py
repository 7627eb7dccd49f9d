"""Text from the model: temperature and top-k sampling, repeatable by seed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pretrain.config import SampleConfig
from shards.format import SetHeader
from tokenizer.encode import Encoder


def write_samples(
    model: nn.Module, encoder: Encoder, header: SetHeader, config: SampleConfig, seed: int
) -> list[dict[str, str]]:
    """One text per prompt of the config: {"prompt", "text" (what the model added)}.

    A prompt begins with the bos token where documents do; without one, an empty prompt gives the model nothing to go on
    and is left out. Every prompt has a random stream of its own, so that adding a prompt changes no other text.
    """
    first = [header.special_ids[header.bos]] if header.adds_bos and header.bos is not None else []
    samples = []
    for number, prompt in enumerate(config.prompts):
        tokens = [*first, *encoder.encode(prompt).tolist()]
        if tokens:
            added = generate(model, tokens, header, config, torch.Generator().manual_seed(seed + number))
            samples.append({"prompt": prompt, "text": encoder.decode(added)})
    return samples


@torch.no_grad()
def generate(
    model: nn.Module, tokens: list[int], header: SetHeader, config: SampleConfig, generator: torch.Generator
) -> list[int]:
    """Up to `config.tokens` token ids that continue `tokens` (at least one), up to the end of the document.

    No special token but the end of a document is ever drawn. The model sees the last `header.context_length` tokens;
    `generator` is one of the CPU.
    """
    device = next(model.parameters()).device
    barred = torch.tensor([i for i in header.special_ids.values() if i != header.eos_id], device=device)
    added: list[int] = []
    for _ in range(config.tokens):
        window = torch.tensor([(tokens + added)[-header.context_length :]], device=device)
        logits = model(window)[0, -1].float().index_fill(0, barred, float("-inf"))
        token = choose(logits.cpu(), config.temperature, config.top_k, generator)
        if token == header.eos_id:
            break
        added.append(token)
    return added


def choose(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """Draw from softmax(logits [V] / temperature) over the `top_k` largest; temperature 0 takes the largest."""
    if temperature == 0:
        return int(logits.argmax())
    values, tokens = logits.topk(min(top_k, len(logits)))
    # float64, and relative to the largest: divided by the least temperature there is, none becomes infinite or NaN
    odds = ((values.double() - values[0].double()) / temperature).softmax(0)
    drawn = torch.multinomial(odds.float(), 1, generator=generator)
    return int(tokens[drawn])
