"""Spark's Python workers have mimalloc, where it can be had and nobody chose otherwise."""

import sys
from pathlib import Path

import pytest

from pipelines import allocator


@pytest.mark.spark
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader of Linux")
def test_workers_have_it_and_the_driver_does_not(spark):
    def preloaded(_):
        return ["libmimalloc" in Path("/proc/self/maps").read_text()]

    assert spark.sparkContext.parallelize([0], 1).mapPartitions(preloaded).collect() == [True]
    assert preloaded(None) == [False]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader of Linux")
def test_only_where_the_path_is_known_to_be_right(monkeypatch):
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    found = allocator.settings("local[2]")
    assert found == {allocator.VARIABLE: allocator.library()}
    assert Path(found[allocator.VARIABLE]).name == "libmimalloc.so"
    assert allocator.settings("spark://host:7077") == allocator.settings("yarn") == {}


def test_a_preloaded_library_of_the_user_stays(monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "libother.so")
    assert allocator.settings("local[2]") == {}


@pytest.mark.parametrize("reason", ["not installed", "no file", "a name that ld.so would cut"])
def test_without_it_workers_start_as_ever(monkeypatch, tmp_path, reason):
    class Installed:
        name = "libmimalloc.so"

        def locate(self):
            return tmp_path / ("a b" if reason.startswith("a name") else "a") / self.name

    def files(name):
        if reason == "not installed":
            raise allocator.PackageNotFoundError(name)
        return [Installed()]

    if reason.startswith("a name"):
        (tmp_path / "a b").mkdir()
        (tmp_path / "a b" / "libmimalloc.so").touch()
    monkeypatch.setattr(allocator, "files", files)
    assert allocator.library() is None
