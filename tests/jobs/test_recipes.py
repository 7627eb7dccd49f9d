"""Recipes: each loads as it is, says what it reproduces; what is wrong in a config is refused before anything runs."""

import sys
from pathlib import Path

import fasttext
import pytest
import yaml

from filters.language_codes import code
from filters.learned_training import zeroed_memory
from filters.stop_words import LISTS
from jobs import cli
from jobs.config import RunConfig, load
from pipelines import judge, languages
from pipelines.errors import ConfigError

RECIPES = Path(__file__).parents[2] / "configs" / "recipes"
NAMES = ("c4", "fineweb", "fineweb2", "gopher", "refinedweb", "starcoder")


def recipe(name: str) -> RunConfig:
    return load(RECIPES / f"{name}.yaml")


def changed(folder: Path, name: str, **changes: object) -> Path:
    """A copy of a recipe with other sections."""
    page = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(page | changes), encoding="utf-8")
    return path


def test_all_recipes_are_there():
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_loads_and_all_its_names_are_known(name):
    config = recipe(name)
    assert config.name == name
    rules = judge.all_rules(config)
    asked = {rule.name.partition(".")[0] for rule in rules}
    assert {Path(s).stem for sets in config.rules.sets.values() for s in sets} <= asked
    # What a rule reads is measured, and what is measured is read.
    read = {family for rule in rules for family in config.annotate.families if f"{family}." in rule.predicate}
    assert read == set(config.annotate.families)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_where_it_differs(name):
    text = (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")
    assert "# Where it differs:\n# - " in text
    assert "${INPUT:-input}/" in text


@pytest.mark.parametrize(
    ("name", "order", "language", "dedup"),
    [
        ("c4", "rules_first", (["eng"], 0.99), (1, 128, 5, "sketch", "global")),
        ("fineweb", "rules_first", (["eng"], 0.65), (14, 8, 5, "none", "source")),
        ("gopher", "rules_first", (["eng"], 0.0), (21, 6, 13, "sketch", "global")),
        ("starcoder", "duplicates_first", ([], 0.0), (14, 8, 5, "none", "global")),
    ],
)
def test_numbers_as_published(name, order, language, dedup):
    config = recipe(name)
    assert config.rules.order == order
    assert (config.language.keep, config.language.min_score) == language
    found = config.dedup
    assert (found.bands, found.rows, found.ngram, found.verify, found.scope) == dedup


def test_fineweb_and_fineweb2_differ_as_published():
    one, two = recipe("fineweb"), recipe("fineweb2")
    assert (one.dedup.scope, two.dedup.scope) == ("source", "global")
    assert (one.dedup.rehydrate, two.dedup.rehydrate) == ("none", "fineweb2")
    assert (one.rules.order, two.rules.order) == ("rules_first", "duplicates_first")
    assert one.annotate.edits["web"]
    assert not two.annotate.edits
    assert "fineweb2.short_lines" not in {rule.name for rule in judge.all_rules(two)}


def test_fineweb2_keeps_the_languages_of_its_table():
    labels = set(languages.read(LISTS))
    assert set(recipe("fineweb2").language.keep) == {code(label) for label in labels} - {"ary"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"language": {"keep": ["xqx"]}}, ["language.keep", "'xqx'", "did you mean"]),
        ({"language": {"keep": ["cmn"]}}, ["language.keep", "'cmn'", "'zho'"]),
        ({"language": {"keep": ["german"]}}, ["language.keep.0", "'german'", "ISO 639-3"]),
        ({"language": {"keep": ["de"]}}, ["language.keep.0", "'de'", "'deu'"]),
        ({"language": {"min_score": 1.5}}, ["language.min_score", "1.5"]),
        ({"language": {"min_scores": {"deu": -1}}}, ["language.min_scores.deu", "-1"]),
        ({"language": {"min_scores": {"dut": 0.5}}}, ["language.min_scores", "'dut'", "'nld'"]),
        ({"language": {"keep": ["deu"], "min_scores": {"fra": 0.5}}}, ["language", "'fra'", "keep"]),
        ({"language": {"min_scores_from": "fineweb2"}}, ["min_scores_from", "GlotLID v3", "annotate.options.language"]),
        ({"language": {"min_scores_from": "fineweb"}}, ["min_scores_from", "'fineweb'", "'fineweb2'"]),
    ],
)
def test_wrong_languages_are_refused(tmp_path, name, changes, expected):
    if name == "starcoder":
        families = {"annotate": {"families": ["language", "quality", "code"]}}
        changes = {**families, **changes}
    with pytest.raises(ConfigError) as error:
        load(changed(tmp_path, name, **changes))
    assert error.value.status == 2
    for word in expected:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("quality.wrods < 5", ["unknown signal 'quality.wrods'", "'quality.words'"]),
        ("qualty.words < 5", ["unknown signal 'qualty.words'", "'quality.words'"]),
        ("quality.words < 200000", ["gopher_quality.too_few_words", "gopher_quality.too_many_words", "every document"]),
        ("quality.words < 20 AND quality.words > 50", ["gopher_quality.too_few_words", "never true"]),
        ("quality.words < quantile(quality.words, 1.5)", ["quantile", "between 0 and 1"]),
        ("quality.words < quantile(quality.words)", ["quantile", "share"]),
    ],
)
def test_wrong_rules_are_refused(tmp_path, predicate, expected):
    rules = {
        "sets": {"web": ["gopher_quality", "gopher_repetition"]},
        "overrides": [{"rule": "gopher_quality.too_few_words", "predicate": predicate}],
    }
    with pytest.raises(ConfigError) as error:
        load(changed(tmp_path, "gopher", rules=rules))
    assert error.value.status == 2
    for word in expected:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"rule": "gopher_quality.too_few_wrods"}, ["rules.overrides.0.rule", "'gopher_quality.too_few_words'"]),
        ({"languages": ["xqx"]}, ["rules.overrides.0.languages", "'xqx'"]),
        ({"sources": ["wbe"]}, ["rules.overrides.0.sources", "'web'"]),
    ],
)
def test_wrong_overrides_are_refused(tmp_path, override, expected):
    rules = {
        "sets": {"web": ["gopher_quality", "gopher_repetition"]},
        "overrides": [{"rule": "gopher_quality.too_few_words", "predicate": None, **override}],
    }
    with pytest.raises(ConfigError) as error:
        load(changed(tmp_path, "gopher", rules=rules))
    for word in expected:
        assert word in str(error.value)


def test_a_band_upside_down_is_refused(tmp_path):
    second = {"directory": str(tmp_path), "digests": {}, "band": [0.9, 0.1]}
    families = ["language", "quality", "repetition", "toxicity"]
    page = {"annotate": {"families": families, "options": {"toxicity": {"second": second}}}}
    with pytest.raises(ConfigError, match=r"annotate\.options\.toxicity: second\.band.*0\.9, 0\.1"):
        load(changed(tmp_path, "gopher", **page))


def test_the_program_exits_with_2_and_one_line(tmp_path, monkeypatch, capsys):
    path = changed(tmp_path, "fineweb2", language={"min_scores_from": "fineweb2"})
    monkeypatch.setattr(sys, "argv", ["gristmill", "run", str(path), "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as exit_status:
        cli.main()
    assert exit_status.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def glotlid(folder: Path) -> Path:
    """A model with the labels of GlotLID that the table names, and one more."""
    labels = [*languages.read(LISTS), "eng_Latn"]
    lines = [f"__label__{label} {label.lower()}\n" for label in labels]
    (folder / "train.txt").write_text("".join(lines * 5), encoding="utf-8")
    with zeroed_memory():
        model = fasttext.train_supervised(str(folder / "train.txt"), dim=4, thread=1, verbose=0)
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_scores_of_the_model_that_they_were_made_for(tmp_path):
    families = {"families": ["language", "quality", "repetition"]}
    options = {"options": {"language": {"model": str(glotlid(tmp_path))}}}
    page = {"language": {"min_scores_from": "fineweb2", "keep": ["deu", "zho"]}, "annotate": families | options}
    config = load(changed(tmp_path, "fineweb2", **page))
    scores = {rule.name: rule.predicate for rule in judge.language_rules(config)}["language.score"]
    assert languages.shown(scores, {"tag": "deu_Latn"}) == "language.score < coalesce(0.821, 0.0D)"
    assert languages.shown(scores, {"tag": "zho_Hani"}) == "language.score < coalesce(0.692, 0.0D)"
