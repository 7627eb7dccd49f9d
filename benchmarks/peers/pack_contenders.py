"""The programs of `tokenize_pack.py`: how each is run on texts with a tokenizer, and what it says of itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from peers.environment import environment, versions
from peers.pack_texts import Texts
from peers.process import Failed, Measured, measured

HERE = Path(__file__).parent
OURS = ("gristmill", "pyspark", "tokenizers")


@dataclass(frozen=True)
class Setting:
    """Where, on how many cores and for how long contenders run."""

    cache: Path
    work: Path
    cores: int
    limit: float  # seconds


@dataclass(frozen=True)
class Outcome:
    """What a contender took: `seconds` as its contract says, `tokens` of the texts alone, `told` by itself."""

    measured: Measured
    seconds: float
    tokens: int
    versions: dict[str, str]
    told: dict[str, Any] = field(default_factory=dict)


def run_loop(texts: Texts, run: Path, setting: Setting, how: str, env: dict[str, str] | None = None) -> Outcome:
    python = environment("tokenizers", setting.cache)
    log = setting.work / f"loop-{how}.log"
    script = HERE / "run_encode_loop.py"
    command: list[str | Path] = [python, script, _tokenizer(run), texts.folder, str(setting.cores), how]
    found = measured(command, log, setting.cores, env, limit=setting.limit)
    told = _last_line(log)
    return Outcome(found, told["seconds"], told["tokens"], versions(python, ["tokenizers"]))


def run_megatron_style(texts: Texts, run: Path, setting: Setting) -> Outcome:
    python = environment("tokenizers", setting.cache)
    log = setting.work / "megatron_style.log"
    script, lines = HERE / "run_megatron_style.py", texts.folder / "texts.jsonl"
    command: list[str | Path] = [python, script, _tokenizer(run), lines, setting.work / "corpus", str(setting.cores)]
    found = measured(command, log, setting.cores, limit=setting.limit)
    tokens = _last_line(log)["tokens"] - texts.documents
    return Outcome(found, found.seconds, tokens, versions(python, ["tokenizers", "numpy"]))


def run_datatrove(texts: Texts, run: Path, setting: Setting) -> Outcome:
    python = environment("datatrove", setting.cache)
    work = setting.work / "datatrove"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    script = HERE / "run_datatrove_tokens.py"
    command: list[str | Path] = [python, script, _tokenizer(run), texts.folder, work, str(setting.cores)]
    found = measured(command, work / "log", setting.cores, limit=setting.limit)
    told = _last_line(work / "log")
    tokens = told["tokens"] - texts.documents
    return Outcome(found, found.seconds, tokens, versions(python, ["datatrove", "tokenizers"]), told["step_seconds"])


def run_ours(texts: Texts, run: Path, setting: Setting) -> Outcome:
    return _ours(texts, run, setting, "reference", {}, {})


def run_ours_fast(texts: Texts, run: Path, setting: Setting) -> Outcome:
    """With the fast engine from an environment of its own, which holds nothing else."""
    python = environment("fastokens", setting.cache)
    (packages,) = python.parents[1].glob("lib/python3*/site-packages")
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
    found = _ours(texts, run, setting, "fastokens", {"PYTHONPATH": path}, versions(python, ["fastokens"]))
    if (found.told["engines"] or {}).get("tasks", {}).keys() != {"fastokens"}:
        raise Failed(f"fastokens did not encode it all: {found.told['engines']}")
    return found


def _ours(texts: Texts, run: Path, setting: Setting, engine: str, env: dict[str, str], more: dict[str, str]) -> Outcome:
    """Pack a copy of the prepared run: hard links, since no stage changes a file in place."""
    work = setting.work / engine
    shutil.copytree(run / "output", work, copy_function=os.link, ignore=shutil.ignore_patterns(".lock"))
    log, config = setting.work / f"{engine}.log", setting.work / f"{engine}.yaml"
    page = yaml.safe_load((run / "config.yaml").read_text())
    config.write_text(yaml.safe_dump(page | {"pack": page["pack"] | {"engine": engine}}))
    command: list[str | Path] = [sys.executable, HERE / "run_our_pack.py", config, work]
    found = measured(command, log, setting.cores, env, limit=setting.limit)
    told = _last_line(log)
    tokens = told.pop("tokens") - 2 * texts.documents
    return Outcome(found, found.seconds, tokens, {name: version(name) for name in OURS} | more, told)


def _tokenizer(run: Path) -> Path:
    return run / "output" / "tokenizer" / "tokenizer.json"


def _last_line(log: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    return found
