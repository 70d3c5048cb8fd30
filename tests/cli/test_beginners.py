"""What those type who see the command for the first time, and what it says to them."""

import itertools

import pytest

from plait._cli.app import VERBS

APP = """
from plait.durable import App, Context, TriggerEvent

app = App("desk")

@app.create_function(fn_id="ask", trigger=TriggerEvent("asked"))
async def ask(ctx: Context) -> None: ...
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["run", "shop.py"],
            "shop.py is Python. What is in it is named so: plait run shop:NAME",
        ),
        (["check", "shop.py"], "shop.py is Python, and check takes flow files"),
        (
            ["run", "shop.py:Shop"],
            "shop.py:Shop: a module has no .py here. Type: plait run shop:Shop",
        ),
        (["run", "shop"], "shop is neither a file nor module:Workflow"),
        (
            ["run", "desk:app"],
            "desk:app is an app of durable functions. Type: plait webui desk:app",
        ),
        (
            ["run", "desk:ask"],
            "desk:ask is a durable function: its app runs it. Type: plait webui desk:app",
        ),
        (["run", "shop:Shop"], "Order() is missing 'item'\nWrite --set item=VALUE"),
        (
            ["run", "shop:Shop", "--status-port", "65536"],
            "--status-port takes 0 to 65535, not 65536",
        ),
        (["webui", "shop:Shop", "--port", "-1"], "--port takes 0 to 65535, not -1"),
        (["show"], "show needs RUN: its id, the beginning of it, or last. Type: plait show --help"),
        (["prune"], "prune needs --older-than. Type: plait prune --help"),
        (["run", "flow.yaml", "--timeout"], "--timeout needs a value. Type: plait run --help"),
        (["schema", "x"], "schema does not take 'x'. Type: plait schema --help"),
        (["show", "a", "b"], "show does not take 'b'. Type: plait show --help"),
        (["help"], 'Unknown command "help"'),
        (
            ["runs", "--journal", "no.db"],
            "There is no journal no.db. A run that is kept there makes it",
        ),
    ],
)
def test_what_to_type_is_said(plait, here, arguments, said):
    (here / "desk.py").write_text(APP)
    (here / "flow.yaml").write_text("flow: []\n")
    done = plait(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("word", ["help", "version", "-v"])
def test_help_is_offered_for_an_unknown_command(plait, word):
    assert plait(word).err.endswith("Type: plait --help\n")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_help_is_wrapped_once_with_what_goes_on_indented(plait, monkeypatch, verb, width):
    monkeypatch.setenv("COLUMNS", width)
    head, parameters, listed = plait(verb, "--help").out.partition("Parameters:\n")
    assert all(len(line) <= int(width) for line in [*head.splitlines(), *listed.splitlines()])
    lines = listed.rstrip("\n").splitlines()
    assert bool(parameters) == bool(lines)
    starts = [line for line in lines if not line.startswith(" " * 6)]
    assert all(line.startswith(("  --", "  RUN, --run: ")) for line in starts)
    full = [
        len(one) + len(two.split()[0])
        for one, two in itertools.pairwise(lines)
        if two not in starts
    ]
    assert all(length >= int(width) for length in full)  # no line ends before it has to
