import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
from mutations import FILES as FUZZED
from mutations import survives

from pipelines.errors import ConfigError
from pipelines.ingest.code import CodeSource, read_code
from pipelines.ingest.code import repositories as git
from pipelines.ingest.records import Document, Failure
from pipelines.source_config import Source

PLAIN, LINK, SUBMODULE = 0o100644, 0o120000, 0o160000
SIGNATURE = pygit2.Signature("A Miller", "miller@example.org", 1_700_000_000, 0)


def commit(folder: Path, files: dict[str, bytes | tuple[int, bytes]], branch: str = "main", bare: bool = False) -> str:
    """A commit on a branch of a repository, which is made where there is none; there is no working tree."""
    exists = git.git_directory(folder) is not None
    repository = pygit2.Repository(str(folder)) if exists else pygit2.init_repository(str(folder), bare=bare)
    tree = write_tree(repository, files)
    name = f"refs/heads/{branch}"
    parents = [repository.references[name].target] if name in repository.references else []
    made = repository.create_commit(name, SIGNATURE, SIGNATURE, "grind", tree, parents)
    repository.set_head("refs/heads/main")
    return str(made)


def write_tree(repository, files):
    builder = repository.TreeBuilder()
    folders: dict[str, dict] = {}
    for name, value in files.items():
        first, slash, rest = name.partition("/")
        if slash:
            folders.setdefault(first, {})[rest] = value
            continue
        mode, data = value if isinstance(value, tuple) else (PLAIN, value)
        builder.insert(name, pygit2.Oid(hex=data.decode()) if mode == SUBMODULE else repository.create_blob(data), mode)
    for name, inner in folders.items():
        builder.insert(name, write_tree(repository, inner), 0o040000)
    return builder.write()


FILES = {
    "LICENSE": (Path(__file__).parents[2] / "LICENSE").read_bytes(),
    "src/mill.py": b"grain = 1\n",
    "src/link.py": (LINK, b"mill.py"),
    "src/out.py": (LINK, b"../../../etc/passwd"),
    "lib": (SUBMODULE, b"0123456789abcdef0123456789abcdef01234567"),
    "model.csv": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "logo.bin": b"\0\1",
}


def read(folder: Path, **options: object) -> dict[str, Document | Failure]:
    records = list(read_code(folder, folder.name, max_text_bytes=1_000_000, **options))
    found = {record.position: record for record in records}
    assert len(found) == len(records)
    return found


def source(*paths: Path, **options: object) -> Source:
    return Source(name="s", format="code", paths=[str(path) for path in paths], options=options)


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_repository_is_read_from_its_objects(tmp_path: Path, bare: bool, packed: bool):
    made = commit(tmp_path / "mill", FILES, bare=bare)
    if packed:
        pack(tmp_path / "mill")
    found = read(tmp_path / "mill")
    assert list(found) == sorted(FILES)
    mill = found["src/mill.py"]
    assert isinstance(mill, Document)
    assert mill.text == "grain = 1\n"
    facts = {"language": "Python", "licence": "Apache-2.0", "licence_from": "LICENSE", "revision": made}
    assert facts.items() <= mill.meta.items()
    assert (mill.meta["path"], mill.meta["repository"], mill.meta["group"]) == ("src/mill.py", "mill", "mill")
    gates = {name: one.meta.get("gate") for name, one in found.items() if isinstance(one, Document)}
    assert gates["src/link.py"] == "link"
    assert gates["lib"] == "submodule"
    assert gates["model.csv"] == "lfs_pointer"
    assert gates["logo.bin"] == "binary"
    out = found["src/out.py"]
    assert isinstance(out, Failure)
    assert out.reason == "link leads out of the archive"


def pack(folder: Path) -> None:
    repository = pygit2.Repository(str(folder))
    place = git.git_directory(folder)
    assert place is not None
    repository.pack(place / "objects/pack")
    for loose in (place / "objects").glob("??"):
        shutil.rmtree(loose)
    refs = [f"{ref.target} {ref.name}" for ref in repository.references.objects if ref.name.startswith("refs/heads")]
    (place / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted\n" + "\n".join(sorted(refs)) + "\n"
    )
    shutil.rmtree(place / "refs/heads")
    (place / "refs/heads").mkdir()


def test_revisions(tmp_path: Path):
    first = commit(tmp_path / "mill", {"a.py": b"a = 1\n"})
    second = commit(tmp_path / "mill", {"a.py": b"a = 2\n"})
    third = commit(tmp_path / "mill", {"a.py": b"a = 3\n"}, branch="next")
    any_licence = {"licences": ("any",)}
    for revision, expected, made in (
        ("HEAD", "a = 2\n", second),
        ("main", "a = 2\n", second),
        ("HEAD~1", "a = 1\n", first),
        ("next", "a = 3\n", third),
        (first[:12], "a = 1\n", first),
    ):
        (record,) = read(tmp_path / "mill", revision=revision, **any_licence).values()
        assert isinstance(record, Document)
        assert (record.text, record.meta["revision"]) == (expected, made)
    (failure,) = read(tmp_path / "mill", revision="no-such").values()
    assert isinstance(failure, Failure)
    assert "'no-such' is no commit" in failure.detail


def test_repositories_are_entries_and_their_working_trees_are_not(tmp_path: Path):
    commit(tmp_path / "in/mill", FILES)
    commit(tmp_path / "in/deep/bare.git", FILES, bare=True)
    (tmp_path / "in/mill/unsaved.py").write_text("x = 1\n")
    (tmp_path / "in/plain").mkdir()
    (tmp_path / "in/plain/a.py").write_text("x = 1\n")
    root, files = CodeSource.discover(source(tmp_path / "in"))
    assert root == str(tmp_path / "in")
    assert [file.path for file in files] == ["deep/bare.git", "mill", "plain/a.py"]
    assert all(file.size > 0 for file in files)
    assert CodeSource.discover(source(tmp_path / "in/mill")) == (
        str(tmp_path / "in"),
        [next(file for file in files if file.path == "mill")],
    )
    both, found = CodeSource.discover(source(tmp_path / "in/mill", tmp_path / "in/plain"))
    assert both == str(tmp_path / "in")
    assert [file.path for file in found] == ["mill", "plain/a.py"]
    with pytest.raises(ConfigError, match="nothing matches"):
        CodeSource.discover(source(tmp_path / "none"))


def test_another_commit_is_another_input(tmp_path: Path):
    commit(tmp_path / "mill", {"a.py": b"a = 1\n"})
    before = CodeSource.discover(source(tmp_path / "mill"))[1]
    assert CodeSource.discover(source(tmp_path / "mill"))[1] == before
    commit(tmp_path / "mill", {"a.py": b"a = 2\n"})
    after = CodeSource.discover(source(tmp_path / "mill"))[1]
    assert after[0].mtime_ns != before[0].mtime_ns
    assert CodeSource.discover(source(tmp_path / "mill", revision="HEAD~1"))[1][0].mtime_ns == before[0].mtime_ns


def test_objects_are_not_read_where_they_are_too_large_or_missing(tmp_path: Path):
    commit(tmp_path / "mill", {"big.py": b"#" * 2_000_000, "gone.py": b"x = 'gone'\n", "a.py": b"a = 1\n"})
    repository = pygit2.Repository(str(tmp_path / "mill"))
    gone = str(repository.head.peel().tree["gone.py"].id)
    (tmp_path / "mill/.git/objects" / gone[:2] / gone[2:]).unlink()
    found = read(tmp_path / "mill", licences=("any",))
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, Failure)}
    assert reasons == {"big.py": "text too large", "gone.py": "object is missing or damaged"}


def test_broken_repositories_are_failures(tmp_path: Path):
    commit(tmp_path / "mill", FILES)
    (tmp_path / "mill/.git/HEAD").write_text("ref: refs/heads/nothing\n")
    (failure,) = read(tmp_path / "mill").values()
    assert isinstance(failure, Failure)
    assert str(tmp_path) not in failure.detail
    (file,) = CodeSource.discover(source(tmp_path / "mill"))[1]
    assert file.mtime_ns == 0


def test_mutated_packs_come_to_an_end(tmp_path: Path):
    commit(tmp_path / "mill", FILES, bare=True)
    pack(tmp_path / "mill")
    (place,) = (tmp_path / "mill/objects/pack").glob("*.pack")
    data = place.read_bytes()
    numbers = itertools.count()

    def damaged(content: bytes) -> Iterator[Document | Failure]:
        # In a place of its own: libgit2 maps packs and keeps them, and a file cut short below a map ends the process.
        folder = tmp_path / f"mill-{next(numbers)}"
        shutil.copytree(tmp_path / "mill", folder)
        copy = folder / place.relative_to(tmp_path / "mill")
        copy.chmod(0o644)
        copy.write_bytes(content)
        return read_code(folder, "mill", max_text_bytes=100_000)

    for seed in range(FUZZED):
        assert survives(damaged, data, seed)


def test_a_link_as_git_directory_does_not_count(tmp_path: Path):
    commit(tmp_path / "secret", FILES)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/.git").symlink_to(tmp_path / "secret/.git")
    (tmp_path / "in/a.py").write_text("x = 1\n")
    # It is listed as the link that it is, which the reader refuses, and the folder is no repository.
    assert [file.path for file in CodeSource.discover(source(tmp_path / "in"))[1]] == [".git", "a.py"]
