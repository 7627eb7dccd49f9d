import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
from ingest_cases import SENTENCE, texts
from mutations import FILES, survives
from postgres_server import MISSING, PASSWORD, USER, binaries, running

from pipelines.errors import ConfigError
from pipelines.ingest.files import Part
from pipelines.ingest.records import Document, Failure, Row, document_id
from pipelines.ingest.source import rows
from pipelines.ingest.tables.connections import DatabaseError, cursor, without_secrets
from pipelines.ingest.tables.database import DatabaseSource, read_database
from pipelines.ingest.tables.queries import quoted_name
from pipelines.source_config import Source

ROWS = [(i, f"{SENTENCE}{i}", f"http://x/{i}" if i % 2 else None) for i in range(1, 3001)]


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    path = tmp_path / "pages of 100% & more.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE pages (id INTEGER PRIMARY KEY, text TEXT, url TEXT, raw BLOB)")
        connection.executemany("INSERT INTO pages VALUES (?, ?, ?, x'ff')", ROWS)
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    folder = binaries()
    if folder is None:
        pytest.skip(MISSING)
    with running(folder) as port:
        yield f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"


@pytest.fixture(scope="module")
def pages(server: str) -> str:
    """The same, with a table of many pages."""
    with cursor(server) as opened:
        opened.execute("CREATE SCHEMA web")
        opened.execute("CREATE TYPE web.mood AS ENUM ('calm', 'stormy')")
        opened.execute(
            "CREATE TABLE web.pages (id bigint PRIMARY KEY, text text, url varchar, weight numeric, at timestamptz, "
            "mood web.mood, tags text[], facts jsonb, raw bytea)"
        )
        opened.execute(
            "INSERT INTO web.pages SELECT i * i, repeat('Grüße 水車 ', 40) || i, 'http://x/' || i, i / 4.0, "
            "TIMESTAMPTZ '2024-05-20 12:00+02', 'stormy', '{a}', '{}', '\\xff' FROM generate_series(1, 20000) i"
        )
    return server


def asked(name: str, **options: object) -> Source:
    return Source(name="db", format="database", paths=[name], options=options)


def read(source: Source, target: int = 10**9, **told: object) -> list[Row]:
    """All rows as the tasks of a run read them."""
    root, (file,) = DatabaseSource.discover(source)
    spans = DatabaseSource.spans(source, file, target)
    parts = [Part(file.path, span, 0) for span in spans]
    result = list(rows(DatabaseSource, {"name": "db", "root": root, "options": source.options, **told}, parts))
    ids = [document_id("db", row.path, row.record.position) for row in result if isinstance(row.record, Document)]
    assert len(set(ids)) == len(ids)
    return result


@pytest.mark.parametrize("target", [10**9, 50_000])
def test_a_table_of_sqlite(sqlite: str, target: int):
    source = asked("pages", uri=sqlite, columns={"uri": "url"})
    spans = DatabaseSource.spans(source, DatabaseSource.discover(source)[1][0], target)
    assert (len(spans) > 4) == (target == 50_000)
    result = read(source, target)
    assert texts(result) == [text for _, text, _ in ROWS]
    assert [row.record.position for row in result[:2]] == ["id=1", "id=2"]
    assert [row.record.uri for row in result[:2]] == ["http://x/1", "pages#id=2"]
    assert result[0].record.meta == {"id": "1", "group": "pages#id=1"}


@pytest.mark.parametrize("target", [10**9, 300_000])
def test_a_table_of_postgresql(pages: str, target: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PAGES", pages)
    result = read(asked("web.pages", uri_env="PAGES", columns={"uri": "url"}), target)
    assert len(texts(result)) == len(result) == 20_000
    assert {row.record.position for row in result} == {f"id={i * i}" for i in range(1, 20_001)}
    third = result[2].record
    assert third.text == "Grüße 水車 " * 40 + "3"
    assert (
        third.meta.items()
        >= {
            "id": "9",
            "weight": "0.75000000000000000000",
            "at": "2024-05-20 10:00:00+00",
            "mood": "stormy",
        }.items()
    )
    assert not {"tags", "facts", "raw", "text", "url"} & {*third.meta}


def test_ranges_hold_equally_many_rows_and_leave_out_none(pages: str):
    source = asked("web.pages", uri=pages)
    _, (file,) = DatabaseSource.discover(source)
    spans = DatabaseSource.spans(source, file, file.size // 8)
    assert len(spans) == 8
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    told = {"name": "db", "root": "", "options": source.options}
    counts = [sum(1 for _ in rows(DatabaseSource, told, [Part(file.path, span, 0)])) for span in spans]
    assert counts == [2500] * 8


def test_a_query_in_the_place_of_a_table(pages: str):
    query = "SELECT id AS key, upper(text) AS body FROM web.pages WHERE id <= 100; "
    result = read(asked("shouted", uri=pages, query=query, key="key", columns={"text": "body"}), 1000)
    assert len(texts(result)) == len(result) == 10
    assert result[0].record.text.startswith("GR")
    assert result[0].record.uri == "shouted#key=1"


@pytest.mark.parametrize("kind", ["text", "uuid"])
def test_keys_that_are_no_integers(server: str, kind: str):
    with cursor(server) as opened:
        made = "md5(i::text)::uuid" if kind == "uuid" else "'key ' || i"
        opened.execute(
            f"CREATE TABLE keyed_{kind} AS SELECT {made} AS k, 'text ' || i AS text FROM generate_series(1, 50) i"
        )
    result = read(asked(f"keyed_{kind}", uri=server, key="k"), 100)
    assert sorted(texts(result)) == sorted(f"text {i}" for i in range(1, 51))


def test_odd_rows(tmp_path: Path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "odd ""table" (k INTEGER, text, note)')
        connection.executemany(
            'INSERT INTO "odd ""table" VALUES (?, ?, ?)',
            [
                *((i, None, None) for i in range(1, 100)),  # the driver takes types from the first rows
                (None, "no key", None),
                (None, "nor here", None),
                (100, "text", 1.5),
                (101, "twice", "a"),
                (101, "twice", "b"),
                (102, "x" * 2000, None),
                (103, 7, b"\xff"),
                (104, "\u0000nul", "n"),
            ],
        )
        connection.execute('INSERT INTO "odd ""table" VALUES (105, CAST(x\'61ff62\' AS TEXT), NULL)')
    connection.close()
    result = read(asked('"odd ""table"', uri=str(path), key="k"), 100, max_text_bytes=1000)
    assert texts(result) == ["text", "twice", "7", "nul"]
    assert sorted((row.record.position, row.record.reason) for row in result if hasattr(row.record, "reason")) == [
        ("1", "no id"),
        ("2", "no id"),
        ("k=101", "the id occurs twice"),
        ("k=102", "text too large"),
        ("k=105", "not UTF-8"),
    ]
    assert len(result) == 99 + 9


def test_broken_files_survive(sqlite: str, tmp_path: Path):
    data = Path(sqlite.removeprefix("sqlite:///")).read_bytes()
    path = tmp_path / "broken.db"

    def parsed(mutation: bytes) -> Iterator[Document | Failure]:
        path.write_bytes(mutation)
        try:
            yield from read_database("", "pages", max_text_bytes=1_000_000, uri=str(path))
        except DatabaseError as error:
            yield Failure("file", "", "unreadable", str(error))

    for seed in range(FILES):
        survives(parsed, data, seed)


def test_what_changes_a_table_changes_its_number(sqlite: str, pages: str):
    before = DatabaseSource.discover(asked("pages", uri=sqlite))[1]
    assert DatabaseSource.discover(asked("pages", uri=sqlite))[1] == before
    with sqlite3.connect(sqlite.removeprefix("sqlite:///")) as connection:
        connection.execute("DELETE FROM pages WHERE id = 7")
    connection.close()
    after = DatabaseSource.discover(asked("pages", uri=sqlite))[1]
    assert after[0].mtime_ns != before[0].mtime_ns
    assert after[0].size == pytest.approx(sum(len(text) for _, text, _ in ROWS), rel=0.05)
    file = DatabaseSource.discover(asked("web.pages", uri=pages))[1][0]
    with cursor(pages) as opened:
        opened.execute("INSERT INTO web.pages (id, text) VALUES (-5, 'more')")
        try:
            assert DatabaseSource.discover(asked("web.pages", uri=pages))[1][0].mtime_ns != file.mtime_ns
        finally:
            opened.execute("DELETE FROM web.pages WHERE id = -5")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pages", {}, "needs either `uri` or `uri_env`"),
        ("pages", {"uri": "x", "uri_env": "X"}, "needs either `uri` or `uri_env`"),
        ("pages", {"uri_env": "GRISTMILL_NOT_SET"}, "GRISTMILL_NOT_SET is not set"),
        ("pages", {"uri": "${GRISTMILL_NOT_SET}"}, "GRISTMILL_NOT_SET is not set"),
        ("pages", {"uri": "/nowhere.db"}, "there is no file /nowhere.db"),
        ("pages", {"uri": "mysql://x/y"}, "mysql:// is neither sqlite:/// nor postgresql://"),
        ("nope", {"uri": "SQLITE"}, "nope.*no such table"),
        ("pages", {"uri": "SQLITE", "key": "nope"}, "pages has no column nope; its columns are id, text, url, raw"),
        ("pages", {"uri": "SQLITE", "columns": {"text": "body"}}, "has no column body"),
        ("pages", {"uri": "SQLITE", "columns": {"id": "url"}}, "the key tells rows apart"),
        ("pages", {"uri": "SQLITE", "query": "SELECT FROM"}, "syntax error"),
        ("nope", {"uri": "POSTGRESQL"}, 'relation "nope" does not exist'),
    ],
)
def test_what_is_wrong_is_said_at_start(sqlite: str, server: str, name: str, options: dict, message: str):
    given = {"SQLITE": sqlite, "POSTGRESQL": server}
    options = {key: given.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(ConfigError, match=message):
        DatabaseSource.discover(asked(name, **options))


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://miller:wr%2Bong@127.0.0.1:{port}/postgres",
        "postgresql://miller:wr%2Bong@127.0.0.1:1/postgres",
        "postgresql://miller:wr#ong@127.0.0.1:{port}/postgres",
        "postgresql://miller:wr/ong@[::1/postgres",
        "postgresql://127.0.0.1:{port}/postgres?user=miller&password=wr%2Bong",
        "postgresql://127.0.0.1:{port}/postgres?nope=wr%2Bong",
    ],
)
def test_no_message_holds_a_credential(server: str, uri: str):
    uri = uri.format(port=server.rpartition(":")[2].split("/")[0])
    with pytest.raises(DatabaseError) as error, cursor(uri):
        pass
    assert "no connection to the database" in str(error.value)
    for secret in ("wr", "ong", "miller", "127.0.0.1"):
        assert secret not in str(error.value)


@pytest.mark.parametrize("change", [("miller:", "miller:x"), ("postgres?", "nope?")])
def test_what_a_task_says_of_a_database_holds_no_credential(server: str, change: tuple[str, str]):
    uri = f"{server}?connect_timeout=5".replace(*change)
    with pytest.raises(DatabaseError) as error:
        list(read_database("", "web.pages", max_text_bytes=1000, uri=uri, span=(1, 5)))
    for secret in (PASSWORD, quote(PASSWORD, safe=""), USER, "127.0.0.1"):
        assert secret not in str(error.value)


def test_addresses_are_taken_out_of_messages():
    uri = "postgresql://anna:p%2Bq%2Br@db.example:5432/base"
    assert without_secrets(f"{uri}\n p+q+r at db.example as anna", uri) == "*** *** at *** as ***"


def test_names_are_quoted():
    assert quoted_name("web.Pages") == '"web"."Pages"'
    assert quoted_name('"a.b"."c"') == '"a.b"."c"'


CONFIG = """
name: pages
sources:
  - name: db
    format: killed_once:KilledOnce
    paths: [web.pages]
    options: {{uri: "postgresql://{user}:${{PAGES_PASSWORD}}@{place}", columns: {{uri: url}}}}
"""


@pytest.mark.spark
def test_a_table_is_read_whole_though_a_worker_is_killed(pages: str, tmp_path: Path):
    output, config, killed = tmp_path / "out", tmp_path / "config.yaml", tmp_path / "killed"
    config.write_text(CONFIG.format(user=USER, place=pages.partition("@")[2]))
    secret = quote(PASSWORD, safe="")
    environment = {
        **os.environ,
        "PAGES_PASSWORD": secret,
        "KILLED_ONCE": str(killed),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-c", "from jobs.cli import main; main()", "run", str(config), "--output", str(output)]
    # Two tasks at a time; a task may fail four times, as on a cluster.
    done = subprocess.run(
        [*command, "--until", "ingest", "--master", "local[2,4]"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert killed.exists()
    documents = pq.read_table(output / "documents").select(["doc_id", "uri", "text", "meta"]).to_pylist()
    assert len(documents) == len({row["doc_id"] for row in documents}) == 20_000
    with cursor(pages) as opened:
        opened.execute("SELECT url, text FROM web.pages")
        assert {(row["uri"], row["text"]) for row in documents} == set(opened.fetchall())
    assert pq.read_table(output / "errors").num_rows == 0
    assert len(list((output / "documents").glob("*.parquet"))) > 2
    said = (done.stdout + done.stderr).encode()
    for data in (said, *(path.read_bytes() for path in output.rglob("*") if path.is_file())):
        assert secret.encode() not in data
        assert PASSWORD.encode() not in data
