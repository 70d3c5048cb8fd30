"""The reference of flow files has every key that a file may have, with its default, and no other."""

import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from plait._cli.app import VERBS
from plait._strands._flows import grammar
from plait._strands._flows.result import Reason, RunState, StepState
from plait._strands._flows.sources.env import OPTIONS as ENV
from plait._strands._flows.sources.process import OPTIONS as PROCESS
from plait._strands._flows.sources.request import OPTIONS as REST

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PAGE = (REFERENCE / "flows.md").read_text(encoding="utf-8")
COMMAND = (REFERENCE / "command.md").read_text(encoding="utf-8")

#: Which section has the keys of which class.
SECTIONS = {
    "The file": grammar.Document,
    "Steps": grammar.Step,
    "`foreach`": grammar.Foreach,
    "`matrix`": grammar.Matrix,
    "`retry`": grammar.Retry,
    "`concurrency`": grammar.Concurrency,
    "Runner": grammar.Runner,
    "Params": grammar.Param,
    "Secrets": grammar.Secret,
    "Outputs": grammar.Out,
}
PROVIDERS = {"`rest`": REST, "`process`": PROCESS, "`env`": ENV}


def section(title, page=PAGE):
    """The text below a heading, up to the next one."""
    (text,) = re.findall(
        rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL
    )
    return text


def tables(text):
    """The tables of a text: each row as a mapping, by the words of the heading."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        heading, _, *rows = (
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for line in block.splitlines()
        )
        found.append([dict(zip(heading, row, strict=True)) for row in rows])
    return found


def keys(title):
    """The rows of the table of keys below a heading, by key."""
    table = next(table for table in tables(section(title)) if "key" in table[0])
    return {name: row for row in table for name in re.findall(r"`([^`]+)`", row["key"])}


def key_of(field):
    return field.metadata.get("key", field.name)


@pytest.mark.parametrize("title", SECTIONS)
def test_every_key_is_there_and_no_other(title):
    fields = {key_of(field) for field in attrs.fields(SECTIONS[title])} - {"path"}
    told = set(keys(title)) - {"x-..."}
    assert told == fields


def test_the_keys_of_sources_are_there():
    first, second = (
        {name.strip("`") for row in table for name in [row["key"]]}
        for table in tables(section("Sources"))
        if "key" in table[0]
    )
    assert first == {field.name for field in attrs.fields(grammar.SourceDef)} - {"path"}
    assert second == {field.name for field in attrs.fields(grammar.SourceRef)} - {"path"}
    for field in attrs.fields(grammar.Override):
        assert field.name == "path" or f"`{field.name}`" in section("Sources")


@pytest.mark.parametrize("title", PROVIDERS)
def test_every_option_is_there_where_it_may_stand(title):
    options = PROVIDERS[title]
    told = keys(title)
    assert set(told) == set(options)
    for name, option in options.items():
        assert set(told[name]["where"].split()) == option.where, name
        for word in option.words:
            assert f"`{word}`" in told[name]["type"], name


def defaults():
    for title, cls in SECTIONS.items():
        for field in attrs.fields(cls):
            default = field.default
            if default is attrs.NOTHING:
                yield title, key_of(field), "required"
            elif isinstance(default, bool | int | float | str) and field.name != "path":
                yield title, key_of(field), default


@pytest.mark.parametrize(("title", "key", "default"), [*defaults()])
def test_defaults_are_those_of_the_classes(title, key, default):
    row = keys(title)[key]
    if "default" not in row:
        assert default == "required"
        return
    told = row["default"].strip("`")
    match default:
        case bool():
            assert told == str(default).lower() or told == "see there"
        case int() | float():
            assert told.removesuffix("s") == f"{default:g}"
        case _:
            assert told == default


def test_the_default_of_on_is_that_of_the_class():
    assert keys("`retry`")["on"]["default"].strip("`[]").split(", ") == [
        str(word) for word in grammar.Retry().on
    ]


def test_states_and_reasons_are_there():
    text = section("When a step fails")
    told = set(re.findall(r"\w+", " ".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL))))
    assert set(StepState.__args__) <= told
    assert {f"`{reason}`" for reason in Reason.__args__} <= set(re.findall(r"`\w+`", text))
    assert {f"`{state}`" for state in RunState.__args__} <= set(re.findall(r"`\w+`", PAGE))


def test_every_code_of_a_problem_is_there():
    strand = Path(grammar.__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in sorted(strand.rglob("*.py"))]
    call = re.compile(r'(?:\.add|\.warn|_note|Problem)\(\s*"([a-z-]+)"')
    codes = {code for source in sources for code in call.findall(source)}
    assert len(codes) > 15
    told = {
        code
        for table in tables(section("Problems"))
        for row in table
        for code in re.findall(r"`([a-z-]+)`", row["code"])
    }
    assert codes - told == set()


# ---------------------------------------------------------------------------- the command


def options_of(verb):
    """What a command says that it takes."""
    done = subprocess.run(
        [sys.executable, "-m", "plait", verb, "--help"],
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", done.stdout)) - {"--run"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_there_with_its_options(verb):
    options = options_of(verb)
    text = re.split(rf"^## `plait {verb}`$", COMMAND, flags=re.MULTILINE)[1]
    text = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`([^`\n]+)`", text))))
    text_of_others = {"--help"}
    assert options - told - text_of_others == set()


def test_no_other_command_is_there():
    assert re.findall(r"^## `plait (\w+)`$", COMMAND, re.MULTILINE) == [*VERBS]
