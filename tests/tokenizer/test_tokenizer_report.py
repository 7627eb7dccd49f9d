import gzip
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gpt2_files import gpt2_files
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import DATA, MISSING
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from tokenizer.cli import app
from tokenizer.encode import load
from tokenizer.models import train_wordpiece
from tokenizer.report import report, write_report
from tokenizer.report_chart import log_chart
from tokenizer.report_corpus import corpus_texts
from tokenizer.report_growth import merges_of, tokens_by_merges
from tokenizer.report_page import page, visible
from tokenizer.train import save, train, untrained
from tokenizer.vocabulary import byte_alphabet, read_tokenizer, tokens

run = CliRunner().invoke
HOSTILE = "<script>alert(1)</script>"
BIDI = "abc\u202edef\u2066"


def first_merges(path: Path, merges: int) -> Tokenizer:
    """The tokenizer in `path` with its first merges alone, and the entries that they leave."""
    content = read_tokenizer(path)
    model = content["model"]
    gone = {left + right for left, right in model["merges"][merges:]}
    model["vocab"] = {token: i for token, i in model["vocab"].items() if token not in gone}
    model["merges"] = model["merges"][:merges]
    return Tokenizer.from_str(json.dumps(content))


def lengths(tokenizer: Tokenizer, texts: list[str]) -> int:
    return sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(alphabet="abehst ’été名前\n\0", max_size=40), max_size=4), st.data())
def test_the_curve_is_what_truncated_tokenizers_make_of_the_texts(tokenizer_dir, texts, data) -> None:
    found = report(tokenizer_dir, {"a": texts})
    merges = len(read_tokenizer(tokenizer_dir)["model"]["merges"])
    size = found["vocabulary_size"]
    counted = {at["vocabulary_size"]: at["tokens"] for at in found["growth"]}
    assert set(counted) == {size - merges, 384, size}
    for at in counted:
        truncated = first_merges(tokenizer_dir, merges - (size - at))
        truncated.encode_special_tokens = True
        assert counted[at] == lengths(truncated, texts)
    assert counted[size] == found["total"]["tokens"]


def test_the_curve_at_every_size(tokenizer_dir, texts) -> None:
    encoder = load(tokenizer_dir)
    used = np.bincount(encoder.encode_batch(texts)[0], minlength=encoder.vocabulary_size)
    curve = tokens_by_merges(merges_of(read_tokenizer(tokenizer_dir)), used)
    for merges in range(0, len(curve), 7):
        truncated = first_merges(tokenizer_dir, merges)
        truncated.encode_special_tokens = True
        assert curve[merges] == lengths(truncated, texts)
    assert curve[0] == sum(len(text.encode()) for text in texts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda model: model.update(ignore_merges=True), "ignore_merges"),
        (lambda model: model.update(dropout=0.1), "dropout"),
        (lambda model: model.update(merges=[model["merges"][0], *model["merges"]]), "several merges"),
        (lambda model: model.update(merges=model["merges"][::-1]), "before it is made"),
        (lambda model: model.update(merges=[["nothing", "there"]]), "not in the vocabulary"),
        (lambda model: model.update(type="WordPiece"), "WordPiece"),
    ],
)
def test_merges_that_tell_no_curve_are_refused(tokenizer_dir, change, says) -> None:
    content = read_tokenizer(tokenizer_dir)
    change(content["model"])
    with pytest.raises(ValueError, match=says):
        merges_of(content)


def test_texts_are_counted_by_source_language_and_script(tokenizer_dir, encoder) -> None:
    groups = {
        ("books", "eng"): ["It's 3.14, isn't it?", "plain_words here"],
        ("books", "jpn"): ["吾輩は猫である。"],
        ("web", "rus"): ["Привет, мир"],
        ("web", None): ["12 34", ""],
        "nothing": [],
    }
    found = report(tokenizer_dir, groups)
    every = [text for texts in groups.values() for text in texts]
    assert found["total"]["texts"] == len(every)
    assert found["total"]["bytes"] == sum(len(text.encode()) for text in every)
    assert found["total"]["characters"] == sum(map(len, every))
    assert found["total"]["tokens"] == sum(len(encoder.encode(text)) for text in every)
    assert list(found["groups"]) == ["books", "web", "nothing"]
    # It's 3.14 isn't it plain_words here; every letter of 吾輩は猫である
    assert found["groups"]["books"]["words"] == 6 + 7
    assert found["groups"]["nothing"]["bytes_per_token"] is None
    assert {language: row["texts"] for language, row in found["languages"].items()} == {"eng": 2, "jpn": 1, "rus": 1}
    assert {script: row["texts"] for script, row in found["scripts"].items()} == {
        "Latn": 2, "Jpan": 1, "Cyrl": 1, "Zyyy": 2
    }  # fmt: skip
    for rows in (found["groups"], found["scripts"]):
        for column in ("texts", "bytes", "characters", "words", "tokens"):
            assert sum(row[column] for row in rows.values()) == found["total"][column]
    assert found["scripts"]["Jpan"]["tokens_per_word"] == round(len(encoder.encode("吾輩は猫である。")) / 7, 4)
    assert found["scripts"]["Jpan"]["characters_per_token"] == round(8 / len(encoder.encode("吾輩は猫である。")), 4)


def test_batches_and_repeated_keys_change_nothing(tokenizer_dir, texts, monkeypatch) -> None:
    whole = report(tokenizer_dir, {("a", "eng"): texts, ("b", None): texts[:3]})
    pairs = [(("a", "eng"), [text]) for text in texts]
    pairs[2:2] = [(("b", None), texts[:3])]
    monkeypatch.setattr("tokenizer.report_counts.BATCH_CHARACTERS", 50)
    assert report(tokenizer_dir, pairs) == whole


def test_others_are_measured_beside(tokenizer_dir, texts, tmp_path) -> None:
    save(train(texts, 300, "gpt2"), tmp_path / "small")
    lossy = Tokenizer(models.WordPiece({"[UNK]": 0, "the": 1, "age": 2}, unk_token="[UNK]"))
    lossy.pre_tokenizer = pre_tokenizers.Whitespace()
    lossy.save(str(tmp_path / "words.json"))
    others = {"small": tmp_path / "small", "words": tmp_path / "words.json"}
    found = report(tokenizer_dir, {("a", "eng"): texts}, others)
    small, words = found["compared"].values()
    alone = report(tmp_path / "small", {("a", "eng"): texts})
    for key in ("tokens", "bytes_per_token", "tokens_per_word", "not_round_tripped"):
        for dimension, row in (("groups", "a"), ("languages", "eng"), ("scripts", "Latn")):
            assert small[dimension][row][key] == alone[dimension][row][key]
    assert small["growth"] == alone["growth"]
    assert "bytes" not in small["total"]
    assert words["total"]["not_round_tripped"] == len(texts)
    assert words["growth"] is None
    assert "WordPiece" in words["left_out"]["growth"]
    assert "bytes per token, <bdi>small</bdi>" in page(found)


def test_another_model(texts, tmp_path) -> None:
    pieces = models.Unigram([("<unk>", 0.0), ("▁the", -2.0), ("▁", -3.0), ("a", -3.0), ("zz", -9.0)], unk_id=0)
    tokenizer = Tokenizer(pieces)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = report(tmp_path, {"a": texts})
    assert found["growth"] is found["vocabulary"]["unreachable"] is found["vocabulary"]["breaks_utf8"] is None
    assert found["vocabulary"]["ordinary"] == 4
    assert [token["token"] for token in found["vocabulary"]["unused"]["tokens"]] == ["zz"]
    assert found["vocabulary"]["longest"][0]["token"] == "▁the"
    assert found["total"]["not_round_tripped"] == len(texts)
    assert page(found).count("no letter of the byte alphabet") == 2
    (tmp_path / "a.txt").write_text("the zz")
    shown = run(app, ["report", str(tmp_path), str(tmp_path / "a.txt")])
    assert shown.exit_code == 0, shown.output
    assert "unreachable: not told" in shown.output


def hostile_tokenizer(directory: Path) -> None:
    """Bytes, some words of strangers as tokens, one that its pattern splits, one of half a character, one unused."""
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    vocabulary = {letter: i for i, letter in enumerate(sorted(letters.values()))}
    merges = []
    for word in (HOSTILE.encode(), BIDI.encode(), b"\x1b[31m", b"a ", b"\xe5\x90", b"unused"):
        spelled = "".join(letters[byte] for byte in word)
        for end in range(2, len(word) + 1):
            if spelled[:end] not in vocabulary:
                merges.append((spelled[: end - 1], spelled[end - 1]))
                vocabulary[spelled[:end]] = len(vocabulary)
    tokenizer = untrained("gpt2")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(" ", "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.model = models.BPE(vocabulary, merges)
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    save(tokenizer, directory)


@pytest.fixture
def hostile(tmp_path) -> Path:
    hostile_tokenizer(tmp_path / "hostile")
    return tmp_path / "hostile"


def test_the_worth_of_tokens(hostile) -> None:
    texts = [f"{HOSTILE} {BIDI}", "a b a b 名", "\x1b[31m \x1b[31m"]
    facts = report(hostile, {"a": texts}, rare=2)["vocabulary"]
    encoder, table = load(hostile), tokens(hostile)
    used = np.bincount(encoder.encode_batch(texts)[0], minlength=encoder.vocabulary_size)
    ordinary = [i for i, token in enumerate(table) if token is not None]
    assert facts["ordinary"] == len(ordinary) == encoder.vocabulary_size - 1
    assert facts["unused"]["count"] == sum(used[i] == 0 for i in ordinary)
    assert facts["under_trained"]["count"] == sum(used[i] < 2 for i in ordinary)
    assert all(0 < token["occurrences"] < 2 for token in facts["under_trained"]["tokens"])
    assert facts["unused"]["tokens"][0]["bytes"] == max(len(table[i]) for i in ordinary if used[i] == 0)
    longest = facts["longest"][0]
    assert (longest["token"], longest["occurrences"], longest["bytes"]) == (HOSTILE, 1, len(HOSTILE))
    never = {bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}
    whole = {i: table[i].decode() for i in ordinary if table[i].decode("utf-8", "replace").encode() == table[i]}
    unreachable = {i for i, text in whole.items() if not used[i] and encoder.encode(text).tolist() != [i]}
    unreachable |= {i for i in ordinary if table[i] in never}
    assert facts["unreachable"]["count"] == len(unreachable) == 14
    assert facts["unreachable"]["tokens"][0]["token"] == "a "
    broken = [i for i in ordinary if i not in whole]
    assert facts["breaks_utf8"]["count"] == len(broken)
    assert facts["breaks_utf8"]["share_of_text"] == round(sum(used[i] for i in broken) / used.sum(), 4)
    assert facts["occurrences_of_95_percent"] == 0


def test_95_percent_of_tokens(tmp_path) -> None:
    """Of 256 tokens, the 13th rarest is the rarest of 95%."""
    save(train(["a"], 256, special_tokens=()), tmp_path)
    texts = [bytes([n]).decode() * (n + 1) for n in range(128)] + ["".join(map(chr, range(0x80, 0x800))) * 9]
    found = report(tmp_path, {"a": texts})["vocabulary"]
    encoder = load(tmp_path)
    used = np.sort(np.bincount(encoder.encode_batch(texts)[0], minlength=256))
    assert np.mean(used >= found["occurrences_of_95_percent"]) >= 0.95
    assert np.mean(used >= found["occurrences_of_95_percent"] + 1) < 0.95


class Tags(HTMLParser):
    """The tags and the text of a page; the tags must close in order."""

    VOID = ("meta", "rect", "line", "circle", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    return tags


def test_the_page_escapes_what_strangers_wrote(hostile, texts) -> None:
    name = "<img src=x onerror=alert(1)>\u202e"
    found = report(hostile, {(name, "<b>"): [f"{HOSTILE} {BIDI}"], "plain": ["\x1b[31m a \0"]}, {name: hostile})
    html = page(found)
    tags = parsed(html)
    assert not tags.seen & {"script", "img", "link", "iframe", "object", "image", "use"}
    assert HOSTILE in tags.text
    assert "<img src=x onerror=alert(1)>\\u202e" in tags.text
    assert "abc\\u202edef\\u2066" in tags.text
    assert "\\x1b[31m" in tags.text
    assert all(c in "\n…×–’" or c.isprintable() for c in html)
    assert not [value for key, value in tags.attributes if key in ("src", "href", "onerror", "onload")]
    assert "http" not in html.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in html
    assert html == page(found)


def test_visible() -> None:
    assert visible("a b\u200f\x00\n") == "a b\\u200f\\x00\\n"
    assert visible("é名👩") == "é名👩"
    assert visible("x" * 100) == "x" * 60 + "…"


def test_the_chart() -> None:
    assert log_chart([("a", [])], "x", "y") == ""
    one = log_chart([("<a>", [(300, 3.0)]), ("b", [])], "x", "y")
    assert "&lt;a&gt;" in one
    assert one.count("<circle") == 1
    tags = parsed(log_chart([("a", [(256, 1.0), (32768, 4.4)])], "entries", "bytes"))
    assert {"polyline", "circle", "text", "line"} <= tags.seen
    assert "256" in tags.text
    assert "32,768" in tags.text


def test_report_of_nothing(tokenizer_dir, tmp_path) -> None:
    found = report(tokenizer_dir, {"empty": []})
    assert found["total"]["bytes_per_token"] is None
    assert found["vocabulary"]["unused"]["share"] == 1
    assert json.loads(write_report(found, tmp_path).read_text()) == found
    parsed((tmp_path / "report.html").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "report.html"}


@pytest.fixture
def corpus(tmp_path, texts) -> Path:
    """A run's corpus of two sources and a held-out split; languages of all documents but those that end in 0."""
    rng = np.random.default_rng(0)
    ids = [rng.bytes(16).hex() for _ in range(400)]
    for split, source, part in (
        ("train", "web", ids[:200]),
        ("train", "books", ids[200:360]),
        ("test", "web", ids[360:]),
    ):
        folder = tmp_path / "run" / "corpus" / f"split={split}" / f"source={source}"
        folder.mkdir(parents=True)
        rows = {"doc_id": part, "uri": part, "text": [f"{doc_id} {texts[0]}" for doc_id in part]}
        pq.write_table(pa.table(rows), folder / "0.parquet", row_group_size=70)
    known = [doc_id for doc_id in ids if not doc_id.endswith("0")]
    folder = tmp_path / "run" / "signals" / "language"
    folder.mkdir(parents=True)
    codes = ["eng" if doc_id < "8" else "deu" for doc_id in known]
    pq.write_table(pa.table({"doc_id": known, "code": codes}), folder / "0.parquet")
    return tmp_path / "run"


def test_texts_of_a_corpus(corpus) -> None:
    whole = [(key, text) for key, texts in corpus_texts(corpus, 1 << 30) for text in texts]
    assert len(whole) == 360
    for (_, language), text in whole:
        expected = None if text[:32].endswith("0") else "eng" if text < "8" else "deu"
        assert language == expected
    assert {source for (source, _), _ in whole} == {"web", "books"}
    half = [(key, text) for key, texts in corpus_texts(corpus, sum(len(t) for _, t in whole) // 2) for text in texts]
    assert 0.4 * len(whole) < len(half) < 0.6 * len(whole)
    highest = max(text[:32] for _, text in half)
    assert sorted(half, key=str) == sorted((pair for pair in whole if pair[1][:32] <= highest), key=str)
    with pytest.raises(FileNotFoundError, match="split=validation"):
        list(corpus_texts(corpus, 1, "validation"))


def test_command(texts, corpus, tmp_path) -> None:
    output = str(tmp_path / "out")
    save(train(texts, 400), output)
    (tmp_path / "plain.txt").write_bytes("\n".join(texts).encode())
    arguments = ["report", output, str(tmp_path / "plain.txt"), "--corpus", str(corpus), "--compare", output]
    result = run(app, [*arguments, "--html", str(tmp_path / "page.html"), "--json", "--rare", "7"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert list(found["groups"]) == [str(tmp_path / "plain.txt"), "books", "web"]
    assert set(found["languages"]) == {"eng", "deu"}
    assert list(found["compared"]) == ["GPT-2", output]
    assert found["compared"][output]["total"]["tokens"] == found["total"]["tokens"]
    assert found["compared"]["GPT-2"]["vocabulary_size"] == 50_257
    assert found["vocabulary"]["under_trained"]["fewer_than"] == 7
    assert (tmp_path / "page.html").read_text() == page(found)
    alone = json.loads(run(app, [*arguments[:3], "--no-gpt2", "--json"]).output)
    assert alone["compared"] == {}
    shown = run(app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "GPT-2 bytes/token" in shown.output
    assert f"{found['vocabulary_size']:,} entries" in shown.output
    assert f"{found['languages']['deu']['bytes_per_token']:.3f}" in shown.output
    assert "\x1b" not in shown.output


def test_the_command_shows_hostile_tokens_harmlessly(hostile, tmp_path) -> None:
    (tmp_path / "a.txt").write_text(f"{HOSTILE} {BIDI} \x1b[31m")
    shown = run(app, ["report", str(hostile), str(tmp_path / "a.txt")])
    assert shown.exit_code == 0, shown.output
    assert HOSTILE in shown.output
    assert all(c == "\n" or c.isprintable() for c in shown.output)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["report", "OUT"], 2, "FILES"),
        (["report", "OUT", "FILE", "--compare", "absent"], 2, "absent"),
        (["report", "OUT", "FILE", "--compare", "FILE"], 1, "not JSON"),
        (["report", "OUT", "--corpus", "OUT"], 2, "no corpus"),
        (["report", "OUT", "FILE", "--html", "OUT/no/where.html"], 2, "where.html"),
    ],
)
def test_exit_statuses(texts, tmp_path, arguments, status, says) -> None:
    save(train(texts, 300), tmp_path / "out")
    (tmp_path / "a.txt").write_text("words")
    places = {"OUT": str(tmp_path / "out"), "FILE": str(tmp_path / "a.txt")}
    for name, place in places.items():
        arguments = [argument.replace(name, place) for argument in arguments]
    result = run(app, arguments)
    assert result.exit_code == status, result.output
    assert says in result.output
    assert "Traceback" not in result.output


def test_wordpiece_over_bytes(texts, tmp_path) -> None:
    save(train_wordpiece(texts, 700), tmp_path)
    found = report(tmp_path, {"a": texts})
    assert found["vocabulary"]["unreachable"] is found["growth"] is None
    assert found["vocabulary"]["breaks_utf8"]["count"] > 2 * 128
    assert found["total"]["not_round_tripped"] == 0
    assert "inside a word" in page(found)


def test_beside_gpt2(texts, tmp_path) -> None:
    """Its published vocabulary, by way of the import command."""
    files = [str(file) for file in gpt2_files(tmp_path)]
    assert run(app, ["import", *files, "--output", str(tmp_path / "gpt2")]).exit_code == 0
    save(train(texts, 400), tmp_path / "ours")
    found = report(tmp_path / "ours", {"a": ["Hello world"]}, {"gpt2": tmp_path / "gpt2"})
    other = found["compared"]["gpt2"]
    assert (other["vocabulary_size"], other["total"]["tokens"], other["total"]["bytes_per_token"]) == (50257, 2, 5.5)
    own = report(tmp_path / "gpt2", {"a": texts})
    assert own["vocabulary"]["ordinary"] == 50256
    assert own["vocabulary"]["unreachable"]["count"] == 13
    assert own["vocabulary"]["longest"][0]["bytes"] == 128
    assert own["growth"][0]["vocabulary_size"] == 257
    assert own["growth"][-1]["tokens"] == own["total"]["tokens"]


@pytest.mark.skipif(not DATA.exists(), reason=MISSING)
def test_real_languages(tmp_path) -> None:
    """75 languages: a vocabulary of English leaves other scripts to single bytes, and everything comes back."""
    by_language: dict[str, list[str]] = {}
    with gzip.open(DATA / "language" / "sentences.tsv.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            language, sentence = line.rstrip("\n").split("\t", 1)
            if len(by_language.setdefault(language, [])) < 100:
                by_language[language].append(sentence)
    book = min((DATA / "books" / "gutenberg").glob("*.txt"))
    save(train([book.read_bytes().decode("utf-8", "replace")], 2000), tmp_path)
    found = report(tmp_path, {("sentences", language): texts for language, texts in by_language.items()})
    assert len(found["languages"]) == len(by_language)
    assert found["total"]["not_round_tripped"] == 0
    assert found["total"]["tokens"] == sum(row["tokens"] for row in found["languages"].values())
    scripts = found["scripts"]
    assert scripts["Latn"]["bytes_per_token"] > 1.5 > scripts["Deva"]["bytes_per_token"]
    assert scripts["Thai"]["characters_per_token"] < 0.5
    sizes = [at["bytes_per_token"] for at in found["growth"]]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    parsed(page(found))
