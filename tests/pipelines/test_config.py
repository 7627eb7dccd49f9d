from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli import app
from jobs.config import RunConfig, check_inputs, load
from pipelines.annotate import versions
from pipelines.errors import ConfigError

ROOT = Path(__file__).parents[2]


def page(**changes) -> dict:
    return {"name": "x", "sources": [{"name": "web", "format": "warc", "paths": ["*.warc.gz"]}], **changes}


def write(folder: Path, content: dict) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_smallest_page_is_valid(tmp_path):
    config = load(write(tmp_path, page()))
    assert config.sources[0].resolved_kind == "web"
    assert config.dedup.bands == 21
    assert config.dedup.rows == 6


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_are_valid(path):
    load(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dedupe": {}}, ["dedupe", "'dedup'"]),
        ({"dedup": {"treshold": 0.7}}, ["dedup.treshold", "'threshold'"]),
        ({"dedup": {"threshold": "high"}}, ["dedup.threshold", "'high'"]),
        ({"dedup": {"bands": 64, "rows": 3}}, ["dedup", "192"]),
        ({"dedup": {"keep_order": ["quality.word DESC"]}}, ["dedup.keep_order.0", "'quality.words'"]),
        ({"tokenizer": {"pattern": "gpt-4"}}, ["tokenizer.pattern", "gpt-4"]),
        ({"tokenizer": {"pattern": "cl10k"}}, ["tokenizer.pattern", "'cl100k'"]),
        ({"tokenizer": {"weights": {"sources": {"wbe": 1}}}}, ["tokenizer.weights.sources", "'web'"]),
        ({"tokenizer": {"weights": {"source": {"web": 1}}}}, ["tokenizer.weights.source", "'sources'"]),
        ({"tokenizer": {"weights": {"languages": {"de": 1}}}}, ["tokenizer.weights.languages.de", "'deu'"]),
        ({"tokenizer": {"weights": {"languages": {"ger": 1}}}}, ["tokenizer.weights.languages", "'deu'"]),
        (
            {"tokenizer": {"weights": {"languages": {"deu": 2}}}, "annotate": {"families": ["quality", "repetition"]}},
            ["tokenizer.weights.languages", "annotate.families"],
        ),
        ({"tokenizer": {"weights": {"sources": {"web": 0.00001}}}}, ["tokenizer.weights.sources.web", "4 decimals"]),
        ({"tokenizer": {"tie_break": "random"}}, ["tokenizer.tie_break", "huggingface"]),
        ({"tokenizer": {"min_count": 0}}, ["tokenizer.min_count"]),
        ({"pretrain": {"optimizer": {"learning_rate": 1}}}, ["pretrain.optimizer.learning_rate", "unknown key"]),
        ({"annotate": {"families": ["qualty"]}}, ["annotate.families", "'quality'"]),
        ({"annotate": {"edits": {"web": ["javascrip"]}}}, ["annotate.edits", "'javascript'"]),
        ({"rules": {"sets": {"web": ["gopher"]}}}, ["rules.sets", "'gopher'", "'gopher_quality'"]),
        ({"rules": {"overrides": [{"rule": "gopher_quality.no", "predicate": None}]}}, ["rules.overrides.0.rule"]),
        ({"split": {"validation": 0.6, "test": 0.5}}, ["split"]),
        ({"sources": []}, ["sources"]),
        ({"language": {"keep": ["en"]}}, ["language.keep.0", "'en'"]),
        ({"language": {"keep": ["en'"]}}, ["language.keep.0"]),
        ({"tokenizer": {"weights": {"sources": {"web": -1}}}}, ["tokenizer.weights.sources.web"]),
        ({"annotate": {"families": ["os:path"]}}, ["annotate.families", "no signal family"]),
        (
            {"annotate": {"options": {"language": {"model": "/no/such.ftz"}}}},
            ["annotate.options.language", "/no/such.ftz"],
        ),
        ({"annotate": {"options": {"toxicity": {"tint": 1}}}}, ["annotate.options.toxicity", "tint"]),
        ({"annotate": {"edits": {"book": ["javascrip"]}}}, ["annotate.edits", "'javascript'"]),
        ({"spark": {"memory": "lots"}}, ["spark.memory", "lots"]),
        ({"pretrain": {"optimizer": {"betas": [2, -1]}}}, ["pretrain.optimizer.betas"]),
        ({"name": None}, ["name"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, expected):
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, page(**change)))
    for word in expected:
        assert word in str(error.value)
    assert error.value.status == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pathes": []}, ["sources.0.pathes", "'paths'"]),
        ({"format": "wrac"}, ["sources.0.format", "'warc'"]),
        ({"options": {"max_html_byte": 1}}, ["sources.0.options", "max_html_byte:", "'max_html_bytes'"]),
        ({"options": {"max_html_bytes": "2e7"}}, ["sources.0.options", "max_html_bytes", "'2e7'"]),
        ({"options": {"max_html_bytes": 0}}, ["sources.0.options", "max_html_bytes"]),
        ({"format": "text", "options": {"colour": 1}}, ["sources.0.options", "colour", "unwrap"]),
        ({"format": "jsonl", "options": {"columns": {"txt": "x"}}}, ["sources.0.options", "columns.txt", "'text'"]),
        ({"format": "parquet", "options": {"columns": {"meta": "x"}}}, ["sources.0.options", "columns.meta", "'x'"]),
        ({"rules": ["unheard_of"]}, ["unheard_of"]),
        ({"paths": ["${SURELY_NOT_SET_ANYWHERE}/x"]}, ["SURELY_NOT_SET_ANYWHERE"]),
        ({"name": "../up"}, ["sources.0.name"]),
        ({"paths": [""]}, ["sources.0.paths.0"]),
    ],
)
def test_what_is_wrong_in_a_source_is_named(tmp_path, change, expected):
    source = {"name": "web", "format": "warc", "paths": ["*.warc.gz"], **change}
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path, page(sources=[source])))
    for word in expected:
        assert word in str(error.value)


def test_a_rule_over_an_unknown_signal_is_refused_with_the_nearest(tmp_path):
    rules = tmp_path / "mine.yaml"
    rules.write_text("short: quality.wrods < 5 or source = 'quality.nothing'\n")
    with pytest.raises(ConfigError, match=r"mine\.short: unknown signal 'quality.wrods'.*'quality.words'"):
        load(write(tmp_path, page(rules={"sets": {"web": [str(rules)]}})))


def test_a_missing_path_is_named(tmp_path):
    path = str(tmp_path / "nothing-*.warc.gz")
    config = load(write(tmp_path, page(sources=[{"name": "web", "format": "warc", "paths": [path]}])))
    with pytest.raises(ConfigError, match=r"sources\.0\.paths.*nothing-"):
        check_inputs(config)


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "just text", "- 1", "a: [", "\x00", ""])
def test_pages_that_are_no_mapping_are_refused(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path)


def test_variables_and_their_defaults_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "/somewhere")
    source = {"name": "web", "format": "warc", "paths": ["${WHERE}/a", "${NOT_SET_AT_ALL:-/else}/b"]}
    assert load(write(tmp_path, page(sources=[source]))).sources[0].paths == ["/somewhere/a", "/else/b"]


def test_the_reference_page_is_up_to_date():
    printed = CliRunner().invoke(app, ["config", "reference"])
    assert printed.exit_code == 0
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == printed.output


def test_the_reference_page_names_every_key_and_option():
    lines = (ROOT / "docs" / "config.md").read_text(encoding="utf-8").split("\n")
    for key in (*RunConfig.model_fields, "threshold", "max_html_bytes", "columns", "group"):
        assert any(line.startswith(f"| `{key}` |") for line in lines), key


def test_a_list_that_was_replaced_under_its_name_is_another_one(tmp_path):
    (tmp_path / "list").write_text("bad.example\n")
    annotate = {"families": ["url", "language", "quality", "repetition", "toxicity"]}
    annotate["options"] = {"url": {"domains": [str(tmp_path / "list")]}}
    config = load(write(tmp_path, page(annotate=annotate)))
    before = versions(config)
    assert versions(config) == before
    (tmp_path / "list").write_text("worse.example\n")
    assert versions(config) != before
