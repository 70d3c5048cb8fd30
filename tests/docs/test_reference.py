"""The reference tells of every error, and of no error that is not there."""

import inspect
import re
from pathlib import Path

import plait.errors

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(REFERENCE.glob("*.md")))
ERRORS = {
    name
    for name, value in vars(plait.errors).items()
    if inspect.isclass(value) and issubclass(value, BaseException)
}


def test_every_error_is_in_the_reference():
    told = set(re.findall(r"`(?:plait\.errors\.)?(\w+)\b", TEXT))
    assert ERRORS - told == set()


def test_every_error_in_the_reference_is_there():
    """`WorkflowXError` and what is said to be in `plait.errors` exists."""
    told = set(re.findall(r"\b(?:plait\.errors\.(\w+)|(Workflow\w+Error))\b", TEXT))
    assert {name for names in told for name in names if name} - ERRORS == set()
