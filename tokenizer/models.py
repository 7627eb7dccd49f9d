"""WordPiece and Unigram over bytes, learnt by the trainers of `tokenizers`.

Both get what byte-level BPE gets: pre-tokens spelt in the 256 letters that stand for bytes, all of which are tokens. So
no text is unknown to them, none changes, and no `[UNK]` or byte fallback is needed. A special token has an id behind
those of the model and is no word of it: where it is spelt in a text, both would find it there otherwise.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers import decoders as d
from tokenizers import models as m
from tokenizers import pre_tokenizers as p
from tokenizers.trainers import UnigramTrainer, WordPieceTrainer

from tokenizer.patterns import pattern_by_name
from tokenizer.pieces import pieces
from tokenizer.vocabulary import CONTINUES, SPECIAL_TOKENS, byte_alphabet

MOST_BYTES = 2**31 - 1
"""`tokenizers` counts in 32 bits, signed; a pair cannot be more frequent than the text has bytes."""

LONGEST_WORD = 64
"""Letters that WordPiece looks at together, longer pre-tokens are cut: it tries all lengths at each place to find the
longest token there, and a word of more letters than its limit is unknown to it."""


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str = "cl100k",
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
) -> Tokenizer:
    """Learn a WordPiece vocabulary (Wu et al. 2016, arXiv:1609.08144; by merging frequent pairs, as `tokenizers` does).

    A token inside a pre-token begins with `‿`, which no byte is spelt by, and not with BERT's `##`, which also stands
    in texts. The ids: the 256 letters inside a word, at its beginning, the learnt tokens, the special tokens. The
    result depends on the texts alone. Raises ValueError for a vocabulary without room for these, repeated special
    tokens, and more than 2^31 - 1 bytes of text.
    """
    letters = sorted(byte_alphabet())
    size = _room(vocab_size, special_tokens, 2 * len(letters))
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        # Named first, so that their ids, by which ties are broken, do not depend on the order of a hash map.
        special_tokens=[CONTINUES + letter for letter in letters],
        initial_alphabet=letters,
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    cut = p.Split(Regex(f".{{1,{LONGEST_WORD}}}"), behavior="isolated")
    steps = [*_split(pattern), cut]
    vocabulary = _learnt(m.WordPiece(continuing_subword_prefix=CONTINUES), steps, trainer, texts)["vocab"]
    model = m.WordPiece(vocabulary, max_input_chars_per_word=LONGEST_WORD, continuing_subword_prefix=CONTINUES)
    return _finished(model, steps, d.Sequence([d.Replace(CONTINUES, ""), d.ByteLevel()]), special_tokens)


def train_unigram(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str = "cl100k",
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
) -> Tokenizer:
    """Learn a unigram language model of pieces (Kudo 2018, arXiv:1804.10959), with the trainer's own constants.

    The ids: pieces by falling probability, then the special tokens. Of all trainers here this one is not repeatable: it
    reads words in the order of a hash map that is another in every process, by which it breaks ties, so that a few
    rare pieces and the last digits of scores differ between runs. Raises as `train_wordpiece`.
    """
    letters = sorted(byte_alphabet())
    size = _room(vocab_size, special_tokens, len(letters))
    trainer = UnigramTrainer(
        vocab_size=size, initial_alphabet=letters, special_tokens=[], unk_token=None, show_progress=False
    )
    steps = _split(pattern)
    # Rounded, since longer ones change when tokenizer.json is read and written again.
    scores = {piece: round(score, 4) for piece, score in _learnt(m.Unigram(), steps, trainer, texts)["vocab"]}
    never = min(scores.values(), default=0.0) - 10.0  # as SentencePiece does with what did not occur
    scores = dict.fromkeys(letters, never) | scores
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return _finished(m.Unigram(ordered, None, False), steps, d.ByteLevel(), special_tokens)


def _split(pattern: str) -> list[p.PreTokenizer]:
    split = p.Split(Regex(pattern_by_name(pattern)), behavior="isolated")
    return [split, p.ByteLevel(add_prefix_space=False, use_regex=False)]


def _learnt(
    model: m.Model, steps: list[p.PreTokenizer], trainer: UnigramTrainer | WordPieceTrainer, texts: Iterable[str]
) -> dict:
    """The model's part of the tokenizer.json that the trainer makes of the texts."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = p.Sequence(steps)
    tokenizer.train_from_iterator(_bounded(texts), trainer=trainer)
    return json.loads(tokenizer.to_str())["model"]


def _finished(
    model: m.Model, steps: list[p.PreTokenizer], decoder: d.Decoder, special_tokens: Sequence[str]
) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = p.Sequence(steps)
    tokenizer.decoder = decoder
    if clash := [token for token in special_tokens if tokenizer.token_to_id(token) is not None]:
        raise ValueError(f"the texts hold the special token {clash[0]!r} as a word, and it was learnt as one")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    tokenizer.encode_special_tokens = True
    return tokenizer


def _room(vocab_size: int, special_tokens: Sequence[str], letters: int) -> int:
    """How many tokens the model may have."""
    if len(set(special_tokens)) != len(special_tokens):
        raise ValueError(f"a special token is named twice: {', '.join(special_tokens)}")
    if vocab_size < letters + len(special_tokens):
        raise ValueError(
            f"a vocabulary of {vocab_size} has no room for {letters} letters and {len(special_tokens)} special tokens"
        )
    return vocab_size - len(special_tokens)


def _bounded(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces, for as long as no count can overflow."""
    total = 0
    for text in texts:
        for piece in pieces(text):
            total += len(piece.encode())
            if total > MOST_BYTES:
                raise ValueError("the texts to learn from hold more than 2^31 - 1 bytes; take a sample of them")
            yield piece
