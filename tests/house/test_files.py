"""What must, and what must not, stand in the project's files."""

import ast
import configparser
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ["src", "tests", "docs", "examples", "benchmarks", "newsfragments", ".ci"]
AT_THE_TOP = ["*.md", "*.toml", "LICENSE", "Makefile", ".gitignore", ".importlinter"]
TEXT = {"", ".py", ".md", ".toml", ".txt", ".json", ".yaml", ".yml", ".css", ".js", ".html", ".svg"}
FILES = [
    *(
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in TEXT and not {"__pycache__", "_build"} & set(path.parts)
        if path.is_file()
    ),
    *(path for pattern in AT_THE_TOP for path in sorted(ROOT.glob(pattern))),
]
SOURCES = [path for path in FILES if path.is_relative_to(ROOT / "src") and path.suffix == ".py"]


def read(path):
    return path.read_text(
        encoding="utf-8", errors="replace"
    )  # a test may need bytes that are no text


def short(path):
    return path.relative_to(ROOT).as_posix()


def test_no_file_knows_the_machine_it_was_written_on():
    """A path of one machine works on no other, and tells strangers about it."""
    home = re.compile(r"(?<![\w.])/(?:home|Users)/(?!user\b)\w|[A-Z]:\\Users\\")
    here = {str(ROOT), str(ROOT.resolve())}
    found = [
        short(path)
        for path in FILES
        if path != Path(__file__)
        and (
            home.search(read(path)) or (len(ROOT.parts) > 2 and any(x in read(path) for x in here))
        )
    ]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_no_failure_is_swallowed(path):
    """No `except Exception: pass`, nor a bare one: no failure is lost."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.ExceptHandler) and (
            node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
        ):
            idle = all(
                isinstance(x, ast.Pass | ast.Continue)
                or (isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant))
                for x in node.body
            )
            assert not idle, f"{short(path)}:{node.lineno} swallows every error"


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_a_module_is_named_by_what_it_owns(path):
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "types", "tools"}


def test_every_package_must_give_its_modules_a_place():
    """`.importlinter` is exhaustive where it draws layers: a new module fails until it has one."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    layers = [section for section in rules.values() if section.get("type") == "layers"]
    assert layers
    assert all(section["exhaustive"] == "True" for section in layers)


def test_every_verb_is_in_the_guide():
    """CONTRIBUTING.md has a line for each verb of the Makefile, and for no other."""
    verbs = re.search(r"^\.PHONY: (.*)$", read(ROOT / "Makefile"), re.MULTILINE)[1].split()
    table = re.findall(r"^\| `make (\w+)", read(ROOT / "CONTRIBUTING.md"), re.MULTILINE)
    assert sorted(table) == sorted({*verbs} - {"help", "clean"})


def test_news_have_a_known_type():
    settings = tomllib.loads(read(ROOT / "pyproject.toml"))["tool"]["towncrier"]
    types = "|".join(kind["directory"] for kind in settings["type"])
    name = re.compile(rf"(?:\d+|\+[a-z0-9-]+)\.(?:{types})(?:\.\d+)?\.md")
    news = [path for path in (ROOT / "newsfragments").iterdir() if path.name != "README.md"]
    assert [path.name for path in news if not name.fullmatch(path.name)] == []
