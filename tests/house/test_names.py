"""The public names: façades re-export and do nothing else, and each name has one home."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import plait

PACKAGE = Path(plait.__file__).parent
ROOT = "plait"  # repeats what most programs need
TESTING = "plait.testing"  # imported by itself, since it loads Trio; its `run` is another one
FACADES = {
    ROOT: PACKAGE / "__init__.py",
    TESTING: PACKAGE / "testing" / "__init__.py",
    **{f"plait.{path.stem}": path for path in sorted(PACKAGE.glob("[!_]*.py"))},
}


def exports(facade):
    """The `X` of each `from ... import X as X`."""
    tree = ast.parse(FACADES[facade].read_text(encoding="utf-8"))
    found = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found += [alias.asname for alias in node.names if alias.asname]
    return found


@pytest.mark.parametrize("facade", FACADES)
def test_a_facade_is_a_docstring_and_re_exports(facade):
    docstring, *rest = ast.parse(FACADES[facade].read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr), "a façade opens with what it is for"
    assert isinstance(docstring.value, ast.Constant), "a façade opens with what it is for"
    for node in rest:
        line = f"{FACADES[facade].name}:{node.lineno}: {ast.unparse(node)}"
        assert isinstance(node, ast.ImportFrom), f"{line}: a façade has no logic"
        assert all(alias.name == alias.asname for alias in node.names), f"{line}: write X as X"


@pytest.mark.parametrize("facade", FACADES)
def test_a_facade_names_nothing_twice(facade):
    assert sorted(set(exports(facade))) == sorted(exports(facade))


@pytest.mark.parametrize("facade", FACADES)
def test_what_can_be_seen_in_a_facade_is_what_it_exports(facade):
    module = importlib.import_module(facade)
    seen = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    modules = {name for name in exports(facade) if inspect.ismodule(getattr(module, name))}
    assert seen == set(exports(facade)) - modules


#: Words that the durable strand has for things of its own, as events and the kernel have for theirs.
OF_BOTH = {"Context", "Event", "Failed", "Record"}


def homes():
    """Which façades, beside the root, export a name."""
    found = {}
    for facade in sorted(set(FACADES) - {ROOT, TESTING}):
        for name in exports(facade):
            found.setdefault(name, []).append(facade)
    return found


def test_a_name_has_one_home():
    """Beside the root, no two façades export one name."""
    assert {name for name, where in homes().items() if len(where) > 1} == OF_BOTH


@pytest.mark.parametrize("name", sorted(OF_BOTH))
def test_a_name_of_two_homes_is_two_things(name):
    first, second = homes()[name]
    assert "plait.durable" in (first, second)
    one, other = (getattr(importlib.import_module(facade), name) for facade in (first, second))
    assert one is not other


def test_the_root_repeats_what_a_facade_has():
    elsewhere = homes()
    for name in exports(ROOT):
        value = getattr(plait, name)
        if not inspect.ismodule(value):
            there = [
                getattr(importlib.import_module(where), name) for where in elsewhere.get(name, ())
            ]
            assert any(one is value for one in there), f"plait.{name} is in no other façade"


CLASSES = [
    pytest.param(facade, value, id=f"{facade}.{name}")
    for facade in FACADES
    for name in exports(facade)
    if facade != ROOT
    if inspect.isclass(value := getattr(importlib.import_module(facade), name))
]


@pytest.mark.parametrize(("facade", "cls"), CLASSES)
def test_a_public_class_has_a_docstring(facade, cls):
    assert cls.__doc__


@pytest.mark.parametrize(
    "package", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: str(path.parent.name)
)
def test_a_package_opens_with_what_it_owns(package):
    docstring = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
    assert docstring, "say what the package owns and what it may import"
    assert len(docstring.splitlines()) <= 15
