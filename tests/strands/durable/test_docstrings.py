"""What the docstrings show: examples that run, and code that is Python."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import plait.durable
import plait.testing
from plait import _steps
from plait._strands import _durable

MODULES = [
    importlib.import_module(f"{package.__name__}.{module.name}")
    for package in (_durable, _steps)
    for module in pkgutil.iter_modules(package.__path__)
]
PUBLIC = {
    name: thing
    for name, thing in vars(plait.durable).items()
    if not name.startswith("_") and (inspect.isclass(thing) or inspect.isfunction(thing))
}
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST


def own(module):
    """The classes and functions that a module defines, whatever module they name as theirs."""
    text = inspect.getsource(module)
    for name, thing in vars(module).items():
        is_code = inspect.isclass(thing) or inspect.isfunction(thing)
        if is_code and re.search(rf"^(async )?(class|def) {name}\b", text, re.MULTILINE):
            yield name, thing


def docstrings(module):
    for name, thing in own(module):
        yield name, inspect.getdoc(thing) or ""
        for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
            if inspect.isfunction(value) or isinstance(value, property):
                yield f"{name}.{attribute}", inspect.getdoc(value) or ""


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.partition(".")[2])
def test_the_examples_run(module):
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name, thing in own(module):
        for example in finder.find(thing, name, module=False, globs=vars(module).copy()):
            runner.run(example)
    assert runner.failures == 0


def test_there_are_examples_to_run():
    text = "".join(inspect.getsource(module) for module in MODULES)
    assert text.count(">>> ") > 20


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.partition(".")[2])
def test_the_code_in_docstrings_is_python(module):
    for name, text in docstrings(module):
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            compile(textwrap.dedent(block), name, "exec", FLAGS)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_has_an_example(name):
    assert "Example:\n" in inspect.getdoc(PUBLIC[name])
