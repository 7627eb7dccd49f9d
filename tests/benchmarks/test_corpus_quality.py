"""The benchmark of corpus quality: pairing, rows, statistics, tasks, and a whole small benchmark on made-up text."""

import importlib
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from pipelines.config import Config
from pretrain.data import IGNORE
from pretrain.model import Decoder
from tokenizer.encode import Encoder
from tokenizer.train import save, train
from tokenizer.vocabulary import BEGIN_OF_TEXT

TOKENS = 8 * 1024  # of a run
TEXT = "the river runs under a bridge where old boats wait for rain and morning light over green fields"
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def benchmarks():
    """Imports a module of the benchmarks by its name."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    save(train([*made_up(20, 0), "naïve café\n"], 320), folder)
    return Encoder(folder / "tokenizer.json")


def made_up(number: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, 400))) for _ in range(number)]


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=12))
def test_a_comparison_is_the_paired_t_test_of_scipy(benchmarks, pairs):
    first, second = zip(*pairs)
    found = benchmarks("corpus_quality_statistics").compare(first, second)
    assert found["mean"] == pytest.approx(np.mean(np.subtract(first, second)))
    if np.ptp(np.subtract(first, second)) > 1e-6:
        expected = ttest_rel(first, second)
        assert found["p"] == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
        assert found["interval"] == pytest.approx(list(expected.confidence_interval(0.95)), rel=1e-6, abs=1e-9)


def test_a_comparison_needs_two_pairs(benchmarks):
    with pytest.raises(ValueError, match="two pairs"):
        benchmarks("corpus_quality_statistics").compare([1.0], [2.0])


@pytest.mark.parametrize("pairs", [3, 8, 20])
def test_the_detectable_difference_is_found_in_four_of_five_experiments(benchmarks, pairs):
    effect = benchmarks("corpus_quality_statistics").detectable(2.0, pairs)
    samples = np.random.default_rng(pairs).normal(effect, 2.0, (40_000, pairs))
    found = ttest_rel(samples, np.zeros_like(samples), axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=30),
    st.sets(st.integers(0, 29)),
    st.integers(0, 9),
)
def test_two_corpora_have_what_they_share_in_the_same_order(benchmarks, names, left_out, seed):
    order = benchmarks("corpus_quality_runs").order
    fewer = [name for at, name in enumerate(names) if at not in left_out]
    whole = [names[at] for at in order(names, seed)]
    assert sorted(whole) == sorted(names)
    assert [fewer[at] for at in order(fewer, seed)] == [name for name in whole if name in fewer]


def test_seeds_have_orders_of_their_own(benchmarks):
    names = list(map(str, range(50)))
    order = benchmarks("corpus_quality_runs").order
    assert len({tuple(order(names, seed)) for seed in range(8)}) == 8


@pytest.mark.parametrize(("seed", "most"), [(0, 1), (1, 7), (2, 99)])
def test_rows_are_the_documents_in_a_row_and_no_token_comes_twice(benchmarks, seed, most):
    runs = benchmarks("corpus_quality_runs")
    lengths = np.random.default_rng(seed).integers(1, 700, 12)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    corpus = runs.Corpus(list(map(str, range(12))), np.arange(offsets[-1]).astype(np.uint16), offsets)
    places = runs.order(corpus.names, seed)
    rows = runs.pack(corpus, places, most)
    laid = np.concatenate([np.arange(offsets[at], offsets[at + 1]) for at in places])
    width = runs.CONTEXT + 1
    assert len(rows.tokens) == min(most, len(laid) // width)
    assert rows.tokens.flatten().tolist() == laid[: rows.tokens.size].tolist()
    inputs, targets, documents, positions = (part.tolist() for part in runs.batch(rows, 0, len(rows.tokens)))
    for row, line in enumerate(rows.tokens.tolist()):
        owners = np.searchsorted(offsets, line, side="right").tolist()
        assert inputs[row] == line[:-1]
        for at in range(runs.CONTEXT):
            same = owners[at] == owners[at + 1]
            assert targets[row][at] == (line[at + 1] if same else IGNORE)
            assert positions[row][at] == min(at, line[at] - offsets[owners[at] - 1])
            if at:
                assert (documents[row][at] == documents[row][at - 1]) == (owners[at] == owners[at - 1])


def test_each_document_begins_with_its_token(benchmarks, encoder):
    texts = [*made_up(5, 1), "x"]
    corpus = benchmarks("corpus_quality_runs").encode(encoder, list("abcdef"), texts)
    for at, text in enumerate(texts):
        own = corpus.tokens[corpus.offsets[at] : corpus.offsets[at + 1]]
        assert own[0] == encoder.special_ids[BEGIN_OF_TEXT]
        assert encoder.decode(own[1:]) == text


def test_an_answers_nats_are_those_of_the_model_without_padding(benchmarks, encoder, monkeypatch):
    runs = benchmarks("corpus_quality_runs")
    monkeypatch.setattr(runs, "ITEM_TOKENS", 40)
    model = Decoder(runs.MODEL, encoder.vocabulary_size, 3).eval()
    prompts = ["the river", "the bridge " * 60, ""]
    items = [{"prompt": prompt, "answers": [" rain", " naïve light", " z"]} for prompt in prompts]
    found = runs.answer_nats(model, encoder, items)
    for item, row in zip(items, found):
        for answer, nats in zip(item["answers"], row):
            tokens = [encoder.special_ids[BEGIN_OF_TEXT], *encoder.encode(item["prompt"]), *encoder.encode(answer)]
            line = torch.tensor([list(map(int, tokens))[-41:]])
            with torch.no_grad():
                logs = model(line[:, :-1])[0].log_softmax(-1)
            each = logs.gather(1, line[0, 1:, None])[:, 0]
            assert nats == pytest.approx(-float(each[-len(encoder.encode(answer)) :].sum()), rel=1e-4)


def test_bits_per_byte_of_a_model_that_knows_nothing(benchmarks, encoder, tmp_path_factory):
    """All logits alike: log2 of the vocabulary's size for each token."""
    runs = benchmarks("corpus_quality_runs")
    model = Decoder(runs.MODEL, encoder.vocabulary_size, 0)
    torch.nn.init.zeros_(model.lm_head.weight)
    sizes = np.ones(encoder.vocabulary_size, np.int64)
    assert runs.bits_per_byte(model, encoder, sizes, made_up(10, 2)) == pytest.approx(np.log2(encoder.vocabulary_size))


def test_texts_that_are_in_the_pool_are_not_measured_on(benchmarks, tmp_path):
    pool, sets = benchmarks("corpus_quality_pool"), benchmarks("corpus_quality_sets")
    texts = [pool.Text(str(at), " ".join(f"word{at}x{i}" for i in range(300))) for at in range(4)]
    copy = "before. " + texts[1].text.upper()[:600] + " after"
    pool.write(tmp_path / "pool.parquet", iter([pool.Text("other", "nothing of it"), pool.Text("copy", copy)]))
    assert sets.unseen([texts[:2], texts[2:]], tmp_path / "pool.parquet") == [texts[:1], texts[2:]]


def test_a_corpus_is_written_in_the_order_of_names(benchmarks, tmp_path):
    pool = benchmarks("corpus_quality_pool")
    pool.write(tmp_path / "texts.parquet", iter([pool.Text("b", "2"), pool.Text("a", "1"), pool.Text("b", "3")]))
    assert pool.read(tmp_path / "texts.parquet") == [("a", "1"), ("b", "3")]
    assert [path.name for path in tmp_path.iterdir()] == ["texts.parquet"]


def test_the_shipped_recipe_takes_the_pool_as_its_source(benchmarks, tmp_path):
    page = Config.model_validate(benchmarks("corpus_quality_pool").page(tmp_path / "all.parquet", 1))
    assert [source.name for source in page.sources] == ["pool"]
    assert (page.split.validation, page.split.test) == (0, 0)
    assert "fineweb" in page.rules.sets["web"]


def test_cloze_answers_are_alike_in_length_and_frequency(benchmarks):
    sets = benchmarks("corpus_quality_sets")
    chance = random.Random(4)
    sentences = [f"So it was said that {' '.join(chance.choices(WORDS, k=9))}." for _ in range(900)]
    texts = [sets.Text("a", "\n\n".join(sentences[:500])), sets.Text("b", "\n\n".join(sentences[500:]))]
    items = sets.cloze(texts)
    whole = "\n\n".join(text for _, text in texts)
    counts = Counter(re.findall("[a-z]+", whole))
    assert len(items) == sets.ITEMS
    for item in items:
        right, *others = (answer.strip() for answer in item["answers"])
        assert f"{item['prompt']} {right}." in whole
        assert len({right, *others}) == 4
        for other in others:
            assert len(other) == len(right)
            assert counts[right] / 2 <= counts[other] <= 2 * counts[right]


def test_a_line_of_code_follows_what_is_before_it(benchmarks):
    sets = benchmarks("corpus_quality_sets")
    code = "".join(f"    value_{i} = {i}\n\n    # why {i} is so\n" for i in range(40))
    items = sets.completion([sets.Text("a.py", code)])
    assert len(items) == 36
    for item in items:
        (answer,) = item["answers"]
        assert item["prompt"] + answer in code
        assert item["prompt"].count("\n") == sets.LINES_BEFORE
        assert "#" not in answer


def test_excerpts_have_equal_shares_from_the_middle(benchmarks, monkeypatch):
    sets = benchmarks("corpus_quality_sets")
    monkeypatch.setattr(sets, "SET_CHARACTERS", 3_000)
    monkeypatch.setattr(sets, "EXCERPT_CHARACTERS", 100)
    long, short = "a" * 5_000 + "b" * 1_000 + "a" * 5_000, "c" * 10
    texts = [sets.Text("", text) for text in (long, short, long)]
    assert sets.excerpts(texts) == ["b" * 1_000, short, "b" * 1_000]


def test_a_small_benchmark_from_texts_to_differences(
    benchmarks, encoder, monkeypatch, capsys, tmp_path, tmp_path_factory
):
    """Three corpora, of which one is noise: the same figures again from the cache, and noise is worse."""
    quality, runs = benchmarks("corpus_quality"), benchmarks("corpus_quality_runs")
    monkeypatch.setattr(quality, "RATES", (2e-3, 8e-3))
    (tmp_path / "tokenizer").mkdir()
    (source,) = tmp_path_factory.getbasetemp().rglob("tokenizer0/tokenizer.json")
    (tmp_path / "tokenizer" / "tokenizer.json").write_bytes(source.read_bytes())
    good = made_up(120, 5)
    noise = ["".join(random.Random(at).choices("qwxzjkv ", k=900)) for at in range(120)]
    corpora = {}
    for name, texts in (("all", [*good[:60], *noise[:60]]), ("ours", good), ("fineweb", noise)):
        corpora[name] = tmp_path / f"{name}.npz"
        runs.save(corpora[name], runs.encode(encoder, [f"{name} {at}" for at in range(120)], texts))
    items = [{"prompt": "the river", "answers": [" runs under", " qwxzjkvqwx"]}] * 3
    evaluation = {
        "sets": {"novels": made_up(8, 6)},
        "cloze": items,
        "lines": [{"prompt": "a", "answers": [" bridge\n"]}],
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    rate, results = quality.runs(corpora, tmp_path, 2, TOKENS, 1)
    found = quality.differences(results)
    assert rate in quality.RATES
    assert len(list((tmp_path / "runs").iterdir())) == 2 * 3 + 2
    assert found["ours - fineweb"]["novels_bits_per_byte"]["mean"] < -0.2
    averages = quality.means(results)
    assert averages["ours"]["lines_bits_per_byte"] < averages["fineweb"]["lines_bits_per_byte"]
    quality.show(averages, found)
    lines = capsys.readouterr().out.splitlines()
    mean, detectable = (found["ours - all"]["novels_bits_per_byte"][key] for key in ("mean", "detectable"))
    shown = [line.split() for line in lines if line.startswith("novels_bits_per_byte")]
    assert shown[0][1] == f"{detectable:.4f}"
    assert shown[1][1] == f"{averages['all']['novels_bits_per_byte']:.4f}"
    assert shown[2][1] == f"{mean:+.4f}"
    told = json.loads(json.dumps(quality.rounded(found)))
    assert told["ours - all"]["novels_bits_per_byte"]["mean"] == pytest.approx(mean, rel=1e-4)
    again = runs.perform(runs.Run(corpora["ours"], source, tmp_path / "evaluation.json", 1, rate, TOKENS))
    assert again["measures"] == results["ours"][1]["measures"]
    with pytest.raises(ValueError, match="none may come twice"):
        runs.perform(runs.Run(corpora["ours"], source, tmp_path / "evaluation.json", 1, rate, 10**6))
    monkeypatch.setattr(runs, "perform", None)
    finished = runs.Run(corpora["fineweb"], source, tmp_path / "evaluation.json", 1, rate, TOKENS)
    assert runs.cached(finished, tmp_path / "runs") == results["fineweb"][1]
    with pytest.raises(TypeError):
        runs.cached(finished._replace(seed=2), tmp_path / "runs")
