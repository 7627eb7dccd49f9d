import pytest

from tokenizer.encode import Encoder, load
from tokenizer.train import save, train

TEXTS = [
    "It was the best of times, it was the worst of times, it was the age of wisdom.\r\n\r\n",
    "def total(values):\n    return sum(value for value in values if value > 0)  # 1234567\n",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. C'est l'été, n'est-ce pas?",
    "吾輩は猫である。名前はまだ無い。どこで生れたか頓と見当がつかぬ。",
    "नमस्ते दुनिया 👩‍👩‍👧‍👦 e\u0301 \u200b\u2028 <|endoftext|> <|bos|> end",
] * 4


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return list(TEXTS)


@pytest.fixture(scope="session", params=["gpt2", "cl100k", "digits1"])
def tokenizer_dir(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    save(train(TEXTS, 500, request.param), directory)
    return directory


@pytest.fixture(scope="session")
def encoder(tokenizer_dir) -> Encoder:
    return load(tokenizer_dir)
