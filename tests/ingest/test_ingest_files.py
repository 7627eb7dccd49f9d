import os
import shutil
from pathlib import Path

import pytest

from pipelines.errors import ConfigError
from pipelines.ingest.files import InputFile, discover, partitions


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "in/a/1.txt",
        "in/a/2.TXT",
        "in/b/3.txt",
        "in/b/c/4.txt",
        "in/b/5.dat",
        "in/b/.git/6.txt",
        "in/[x].txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(paths: list[str], root: str | None = None, suffixes: tuple[str, ...] | None = None) -> list[str]:
    return [file.path for file in discover(paths, root, suffixes)[1]]


def test_a_directory_is_searched_by_suffix(tree: Path):
    assert names([f"{tree}/in"], suffixes=(".txt",)) == ["[x].txt", "a/1.txt", "a/2.TXT", "b/3.txt", "b/c/4.txt"]


def test_without_suffixes_all_files_but_a_repository_s_internals(tree: Path):
    assert names([f"{tree}/in/b"]) == ["3.txt", "5.dat", "c/4.txt"]


def test_globs_and_files_are_taken_as_they_are_once_each(tree: Path):
    assert names([f"{tree}/in/b/*", f"{tree}/in/b/5.dat"], suffixes=(".txt",)) == ["3.txt", "5.dat", "c/4.txt"]
    assert names([f"{tree}/in/**/*.txt"]) == ["[x].txt", "a/1.txt", "b/3.txt", "b/c/4.txt"]
    assert names([f"{tree}/in/[x].txt"]) == ["[x].txt"]


def test_the_default_root_is_the_common_parent_of_the_fixed_parts(tree: Path):
    root, files = discover([f"{tree}/in/a/*.txt", f"{tree}/in/b/3.txt"])
    assert root == f"{tree}/in"
    assert [file.path for file in files] == ["a/1.txt", "b/3.txt"]
    assert files[0].size == len("in/a/1.txt")


def test_a_copy_elsewhere_has_the_same_relative_paths(tree: Path):
    shutil.copytree(tree / "in", tree / "other" / "place")
    patterns = ("{}/a/*.txt", "{}/b")
    here, there = (names([p.format(top) for p in patterns]) for top in (tree / "in", tree / "other" / "place"))
    assert here == there


def test_relative_paths_start_at_the_working_directory(tree: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tree)
    assert discover(["in/../in/a"])[0] == f"{tree}/in/a"


def test_a_given_root(tree: Path):
    assert names([f"{tree}/in/a"], root=str(tree)) == ["in/a/1.txt", "in/a/2.TXT"]
    with pytest.raises(ConfigError, match="not below the root"):
        discover([f"{tree}/in/a"], root=f"{tree}/in/b")


def test_a_pattern_without_a_match_is_named(tree: Path):
    with pytest.raises(ConfigError, match=r"nothing matches '.*nope.*'"):
        discover([f"{tree}/in/a", f"{tree}/in/nope*"])
    with pytest.raises(ConfigError, match=r"ending in \.epub"):
        discover([f"{tree}/in"], suffixes=(".epub",))


def test_links_are_listed_and_directories_behind_them_not_entered(tree: Path):
    (tree / "in/b/loop").symlink_to(tree / "in")
    (tree / "in/b/gone").symlink_to(tree / "nowhere")
    assert names([f"{tree}/in/b"]) == ["3.txt", "5.dat", "c/4.txt", "gone", "loop"]


def test_partitions_keep_order_and_limits():
    files = [InputFile(f"{i:04}", 10_000_000, 0) for i in range(30)]
    parts = partitions(files)
    assert [(part.path, part.size) for task in parts for part in task] == [(file.path, file.size) for file in files]
    assert {len(part) for part in parts} == {1}  # 300 MB: small enough to be spread
    many = [InputFile(f"{i:05}", 100, 0) for i in range(5000)]
    assert [len(part) for part in partitions(many)] == [2000, 2000, 1000]
    assert partitions([]) == []
    big = [InputFile(str(i), 30_000_000, 0) for i in range(300)]
    assert max(len(part) for part in partitions(big)) == 2  # 64 MB


def test_sizes_and_times_are_recorded(tree: Path):
    os.utime(tree / "in/a/1.txt", ns=(5, 7))
    assert discover([f"{tree}/in/a/1.txt"])[1] == [InputFile("1.txt", 10, 7)]
