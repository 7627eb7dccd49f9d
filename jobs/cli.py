"""The command line: one program, `gristmill`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.pretrain_commands import app as pretrain_commands_app
from jobs.quality import app as quality_app
from jobs.shard_commands import app as shard_commands_app
from pretrain.cli import app as pretrain_app
from shards.cli import app as shards_app
from shards.export_cli import app as shards_export_app
from shards.step_cli import app as shards_step_app
from tokenizer.cli import app as tokenizer_app

app = typer.Typer(name="gristmill", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(quality_app, name="quality", help="Make models of quality from examples.")
app.add_typer(tokenizer_app, name="tokenizer", help="Train a tokenizer, report on it, encode and decode.")
app.add_typer(shards_app, name="shards", help="Look into packed shards and verify them.")
shards_app.add_typer(shard_commands_app)
shards_app.add_typer(shards_export_app)  # without a name: its commands stand beside the others
shards_app.add_typer(shards_step_app)
app.add_typer(pretrain_app, name="pretrain", help="Train a model on shards, measure it, sample from it.")
pretrain_app.add_typer(pretrain_commands_app)
config_app = typer.Typer(no_args_is_help=True)
app.add_typer(config_app, name="config", help="Check a config; print the reference of all keys.")

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="the run's YAML page")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="the output directory of a run")]
Output = Annotated[str | None, typer.Option("--output", help="directory of the run; by default the config's")]
Master = Annotated[str | None, typer.Option("--master", help="Spark master URL, for example local[4]")]
AsJson = Annotated[bool, typer.Option("--json", help="print facts as JSON")]


@app.command()
def run(
    config: ConfigPath,
    output: Output = None,
    until: Annotated[str | None, typer.Option("--until", help="stop after this stage")] = None,
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """The whole path, from sources to a trained model and its report; what is finished is skipped."""
    from jobs.whole import run_stages

    summary = run_stages(config, output, until=until, master=master)
    print(json.dumps(summary) if as_json else _lines(summary))


@app.command()
def judge(
    directory: Directory,
    config: Annotated[Path, typer.Option("--config", help="a config with other rules, thresholds or splits")],
    master: Master = None,
    as_json: AsJson = False,
) -> None:
    """Judge a finished run again, under changed rules; reads no text."""
    from jobs.whole import judge_again

    summary = judge_again(directory, config, master)
    print(json.dumps(summary) if as_json else _lines(summary))


@app.command()
def report(directory: Directory) -> None:
    """Write DIR/report/report.html and funnel.json again."""
    from pipelines.report import write_report

    print(write_report(_finished(directory)))


@app.command()
def digest(directory: Directory, as_json: AsJson = False) -> None:
    """Print a digest per dataset: two runs are the same where these are."""
    from pipelines.digest import digest as digest_of

    found = digest_of(_finished(directory))
    print(json.dumps(found) if as_json else "\n".join(f"{value}  {name}" for name, value in found.items()))


@app.command()
def explain(
    directory: Directory,
    doc: Annotated[str | None, typer.Option("--doc", help="a doc_id")] = None,
    uri: Annotated[str | None, typer.Option("--uri", help="a URL or path")] = None,
    as_json: AsJson = False,
) -> None:
    """What was measured of a document, which rules it failed, of what it is a duplicate and by which similarity."""
    from pipelines.explain import explain as facts_of
    from pipelines.explain_text import as_text

    facts = facts_of(_finished(directory), doc, uri)
    print(json.dumps(facts, ensure_ascii=False) if as_json else "\n\n".join(map(as_text, facts)))


@app.command()
def sample(
    directory: Directory,
    rule: Annotated[str, typer.Option("--rule", help="a rule's name, as in the report")],
    count: Annotated[int, typer.Option("-n", min=1, help="how many")] = 10,
    as_json: AsJson = False,
) -> None:
    """Documents that a rule dropped, to look at."""
    from pipelines.explain import sample as sample_of

    rows = sample_of(_finished(directory), rule, count)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    else:
        print("\n\n".join(f"{row['doc_id']}  {row['uri']}\n{row['text']}" for row in rows))


@app.command("warm-up")
def warm_up_command() -> None:
    """Compile the kernels and archive Spark's classes, once after installation: what starts Spark starts sooner."""
    from jobs.warm_up import warm_up

    print(warm_up())


@pretrain_app.command("run")
def pretrain_run(
    config: Annotated[Path, typer.Option("--config", help="the run's YAML page")],
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Train the config's model on DIR/shards, or go on with it from its last checkpoint."""
    from jobs.pretrain import pretrain

    summary = pretrain(config, output)
    names = ("parameters", "steps", "tokens", "validation_bits_per_byte", "unigram_bits_per_byte")
    print(json.dumps(summary) if as_json else _lines({name: summary[name] for name in names}))


@config_app.command("check")
def check_config(config: ConfigPath) -> None:
    """Validate a config without running it."""
    from jobs.config import check_inputs, load

    check_inputs(load(config))
    print(f"{config}: valid")


@config_app.command("reference")
def reference() -> None:
    """Print the reference of all keys, in Markdown."""
    from jobs.config import RunConfig
    from pipelines.config_file import reference as page
    from pipelines.ingest import options, source

    readers = {name: source.reader_class(name).read for name in source.FORMATS}
    print(page(RunConfig), options.reference(readers), sep="\n", end="")


@config_app.command("signals")
def signals() -> None:
    """Print the reference of all signals, in Markdown."""
    from pipelines.signal_reference import reference

    print(reference(), end="")


def _finished(directory: Path) -> Path:
    from pipelines.errors import ConfigError

    if not (directory / "stages.json").is_file():
        raise ConfigError(f"{directory} is not the output directory of a run: it has no stages.json")
    return directory


def _lines(summary: dict[str, object]) -> str:
    width = max(map(len, summary))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {_plain(value)}" for name, value in summary.items())


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Run the program; a GristmillError becomes one line on stderr and its exit status."""
    from pipelines.errors import GristmillError

    try:
        app()
    except GristmillError as error:
        print(f"gristmill: {error}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt:
        print("gristmill: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(1)
