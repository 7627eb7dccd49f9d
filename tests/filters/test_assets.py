import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from filters import fasttext_model, language, toxicity
from filters.assets import AssetError, asset

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.ftz"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("digest", [SHA256, SHA256.upper(), None])
def test_the_right_file_passes(model: Path, digest: str | None) -> None:
    assert asset("language.model", model, digest) == model


def test_an_altered_file_is_refused_and_the_option_named(model: Path) -> None:
    model.write_bytes(b"weightz")
    with pytest.raises(AssetError, match=r"language\.model.*model\.ftz") as error:
        asset("language.model", model, SHA256)
    assert SHA256 in str(error.value)


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ftz", tmp_path):
        with pytest.raises(AssetError, match=r"set toxicity\.model"):
            asset("toxicity.model", path, None)


def test_what_is_no_fasttext_model_is_refused(model: Path) -> None:
    with pytest.raises(AssetError, match=r"^language\.model"):
        fasttext_model.load("language.model", model, SHA256)


@pytest.mark.parametrize("family", [language.Language, toxicity.Toxicity])
def test_a_model_of_ones_own_is_checked_against_its_digest(family: type, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"\.model: no readable"):
        family(model=tmp_path / "none.ftz")
    with pytest.raises(AssetError, match="SHA-256"):
        family(model=language.MODEL, sha256="0" * 64)
    own = sys.modules[family.__module__]
    family(model=shutil.copy(own.MODEL, tmp_path), sha256=own.MODEL_SHA256)


def test_a_toxicity_model_has_a_label_for_it() -> None:
    with pytest.raises(AssetError, match=r"toxicity\.model: .*no label toxic"):
        toxicity.Toxicity(model=language.MODEL)


def test_an_empty_text_gets_the_models_prior() -> None:
    model = fasttext_model.load("language.model", language.MODEL, language.MODEL_SHA256)
    assert model.predict(b"") == model.predict(b"\n\0\n")
    assert len(model.labels) == 176


@pytest.mark.parametrize("odd", [b"\n", b"\0", b"\r\n", b" </s> ", b"\v\f"])
def test_nothing_in_a_text_ends_it_early(odd: bytes) -> None:
    model = fasttext_model.load("language.model", language.MODEL, language.MODEL_SHA256)
    french = "Je ne sais pas ce que vous voulez dire par là, mon ami.".encode()
    assert model.predict(b"the" + odd + french) == model.predict(b"the " + french)
    assert model.predict(b"the" + odd + french)[0] == "fr"


def test_models_load_once_per_process_and_print_nothing() -> None:
    script = """
import pyarrow as pa
from filters import fasttext_model, language, toxicity
from filters.batch import TextBatch
for family in (language.Language(), toxicity.Toxicity(), language.Language(), toxicity.Toxicity()):
    family(TextBatch(pa.array(["some text", ""])))
assert fasttext_model.load.cache_info().misses == 2
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
