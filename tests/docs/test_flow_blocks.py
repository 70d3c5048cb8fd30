"""Each YAML block of a page is a flow file, or a part of one: nothing in it is unknown."""

import re
from pathlib import Path

import pytest

from plait._strands._flows import yaml
from plait._strands._flows.problems import FlowConfigError
from plait.flows import load
from tests.docs.consoles import FILE

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
#: What `load` says of a part that is alone: it names what the rest of the file has.
OF_THE_REST = {"source", "dependency", "reference", "secret"}


def parts():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        files = [range(match.start(), match.end()) for match in FILE.finditer(text)]
        for match in BLOCK.finditer(text):
            if not any(match.start() in file for file in files):
                line = text.count("\n", 0, match.start()) + 1
                name = f"{path.relative_to(ROOT)}:{line}"
                yield pytest.param(match[2], id=name)


def problems_of(text):
    """What is wrong with a part of a flow file: a list of steps, or some of its keys."""
    part = yaml.plain(text)
    try:
        load({"flow": part} if isinstance(part, list) else part)
    except FlowConfigError as error:
        return [str(one) for one in error.problems if one.code not in OF_THE_REST]
    return []


@pytest.mark.parametrize("text", [*parts()])
def test_nothing_in_it_is_unknown(text):
    assert problems_of(text) == []


@pytest.mark.parametrize(
    "text", ["- {name: a, source: env, retyr: 3}", "runner: {max_worker: 8}", "flow: {}"]
)
def test_what_is_wrong_is_found(text):
    assert len(problems_of(text)) == 1
