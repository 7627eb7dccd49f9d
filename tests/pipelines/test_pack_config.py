import pytest
from pack_case import make_config
from small_run import write_config

from jobs.config import load
from pipelines.errors import ConfigError


@pytest.mark.parametrize(
    ("pack", "message"),
    [
        ({"bucket": "concat(sorce, 'x')"}, r"pack\.bucket: unknown signal 'sorce' .*did you mean 'source'"),
        ({"bucket": "quality.wrds"}, r"pack\.bucket: unknown signal 'quality.wrds'.*did you mean 'quality.words'"),
        ({"bucket": "code.lines"}, r"pack\.bucket: unknown signal 'code.lines'"),  # a family that is not measured
        ({"fill_in_the_middle": {}}, "needs `policy: best_fit` or `one_per_row`"),
        (
            {"policy": "best_fit", "fill_in_the_middle": {"sources": ["cod"]}},
            r"pack\.fill_in_the_middle\.sources: no source is named 'cod'; did you mean 'code'",
        ),
        ({"policy": "best_fit", "fill_in_the_middle": {}}, r"tokenizer\.special_tokens lacks '<\|fim_prefix\|>'"),
        ({"policy": "best_fit", "fill_in_the_middle": {"rate": 1.5}}, r"pack\.fill_in_the_middle\.rate"),
    ],
)
def test_what_cannot_be_packed_is_said_before_anything_is_read(tmp_path, pack, message):
    with pytest.raises(ConfigError, match=message):
        load(write_config(tmp_path / "config.yaml", tmp_path, pack=pack))


def test_buckets_may_use_signals(tmp_path):
    bucket = "concat(source, '-', language.code, if(quality.words > 9, meta['crawl'], uri), copies + stands_for)"
    assert load(write_config(tmp_path / "config.yaml", tmp_path, pack={"bucket": bucket})).pack.bucket == bucket


@pytest.mark.parametrize(
    ("settings", "names"),
    [({}, ["modules"]), ({"kinds": ["web", "code"]}, ["web", "modules"]), ({"sources": ["web"]}, ["web"])],
)
def test_whose_documents_have_their_middle_last(settings, names):
    config = make_config(pack={"fill_in_the_middle": settings})
    assert config.pack.fill_in_the_middle.sources_of(config.sources) == names
