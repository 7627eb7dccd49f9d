"""What the config's section `tokenizer` lets a user choose, and what the stage makes of it."""

from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipelines import tokenizer_stage
from pipelines.tokenizer_config import Tokenizer
from tokenizer.encode import load
from tokenizer.tally import count_texts
from tokenizer.train import save
from tokenizer.vocabulary import FILL_IN_THE_MIDDLE, SPECIAL_TOKENS, read_tokenizer

TEXTS = [f"It was the best of times, number {i}: été, 名前\n" for i in range(200)]


@pytest.fixture
def run(tmp_path):
    """A run of the given settings whose training split holds TEXTS."""
    folder = tmp_path / "corpus" / "split=train" / "source=a"
    folder.mkdir(parents=True)
    ids = [f"{i * 7919 % 256:02x}{i:030x}" for i in range(len(TEXTS))]
    pq.write_table(pa.table({"doc_id": ids, "text": TEXTS}), folder / "0.parquet")
    return lambda **settings: SimpleNamespace(
        output=tmp_path, config=SimpleNamespace(tokenizer=Tokenizer(vocab_size=700, **settings))
    )


@pytest.mark.parametrize(("model", "kind"), [("bpe", "BPE"), ("wordpiece", "WordPiece"), ("unigram", "Unigram")])
def test_every_model_gets_the_tokens_that_are_asked_for(run, tmp_path, model, kind):
    found = run(model=model, special_tokens=[*FILL_IN_THE_MIDDLE, "<|user|>"], reserved=2, pad_to_multiple_of=128)
    trained = tokenizer_stage._trained(found, count_texts(TEXTS, "cl100k"), 1)
    save(trained, tmp_path / "tokenizer")
    encoder = load(tmp_path / "tokenizer")
    assert read_tokenizer(tmp_path / "tokenizer")["model"]["type"] == kind
    names = [*SPECIAL_TOKENS, *FILL_IN_THE_MIDDLE, "<|user|>", "<|reserved_0|>", "<|reserved_1|>"]
    assert list(encoder.special_ids)[: len(names)] == names
    assert encoder.vocabulary_size % 128 == 0
    text = "It was <|user|> <|fim_prefix|>"
    assert encoder.decode(encoder.encode(text)) == text
    assert not set(encoder.encode(text).tolist()) & set(encoder.special_ids.values())


def test_by_default_nothing_is_added(run):
    trained = tokenizer_stage._trained(run(), count_texts(TEXTS, "cl100k"), 1)
    assert [trained.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2]
    assert trained.token_to_id("<|reserved_0|>") is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"special_tokens": ["<|bos|>"]}, r"'<\|bos\|>' is there already"),
        ({"special_tokens": ["a", "b", "a"]}, "'a' is there already"),
        ({"special_tokens": ["<|reserved_1|>"], "reserved": 2}, "reserved_1"),
        ({"special_tokens": [""]}, "at least 1 character"),
        ({"reserved": 100, "vocab_size": 300}, "special tokens and bytes alone are 359 entries"),
        ({"model": "wordpiece", "vocab_size": 400}, "alone are 515 entries"),
        ({"model": "unigram", "min_count": 2}, "`weights` and `min_count` have no use"),
        ({"model": "wordpiece", "weights": {"sources": {"a": 2}}}, "have no use"),
        ({"model": "bpe-dropout"}, "'bpe', 'wordpiece' or 'unigram'"),
        ({"pad_to_multiple_of": 0}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, says):
    with pytest.raises(ValidationError, match=says):
        Tokenizer(**settings)
