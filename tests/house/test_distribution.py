"""What is installed: the package is complete, and it is the one under test."""

import filecmp
import importlib.metadata
import os
import tomllib
from pathlib import Path

import plait

ROOT = Path(__file__).parents[2]
INSTALLED = Path(plait.__file__).parent


def test_the_package_is_where_it_should_be():
    """`.ci/wheel` says where it unpacked the wheel: then it is the wheel that is tested, not `src`."""
    place = os.environ.get("PLAIT_WHEEL", str(ROOT / "src"))
    assert INSTALLED.parent.resolve() == Path(place).resolve()


def test_nothing_is_missing():
    """The wheel has every file of `src`, `py.typed` among them, and the same in each."""
    source = ROOT / "src" / "plait"
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    wanted = {path for path in files if path.suffix != ".pyc"}
    assert Path("py.typed") in wanted
    missing = {path for path in wanted if not (INSTALLED / path).is_file()}
    assert missing == set()
    changed = {path for path in wanted if not filecmp.cmp(source / path, INSTALLED / path)}
    assert changed == set()


def test_the_version_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert importlib.metadata.version("plait") == project["version"]
