"""The world of the rows about flow files: the base file, an origin, and the command, in this process.

A row writes its steps as YAML and says what the command is asked for:

    told = world("flow: [{name: a, source: ok, output: [{name: o}]}]")
    assert told.out == {...}

`told.out` is the JSON on stdout; `told.stderr` what people read. Every answer is looked at for a
traceback, which no user may see.
"""

# ruff: noqa: E501 - a step of a flow reads best on one line

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
import pytest

from plait._cli.main import main
from tests.origin import Origin

BASE = """
sources:
  e: {type: env, configuration: {vars: [FT_A, FT_B]}}
  p: {type: process, configuration: {command: [echo]}}
  ok: {type: process, configuration: {command: [echo, ok]}}
  t: {type: process, configuration: {command: [sh, -c, 'sleep 0.3; echo done']}}
  bad: {type: process, configuration: {command: [sh, -c, 'echo partial; echo why >&2; exit 3']}}
  cat: {type: process, configuration: {command: [cat], pass_to: stdin}}
  r: {type: rest, configuration: {url: '{{ env.PLAIT_ORIGIN }}/echo', headers: {X-A: base}}}
  fmt: {type: process, configuration: {command: [printf, '[%s]']}}
  j: {type: process, configuration: {command: [echo, '{"n":5,"f":1.50,"b":true,"z":null,"l":[1,"a"],"d":{"k":"v<&>"}}']}}
"""
SAMPLES = Path(__file__).parent.parent / "data" / "seed-flows"


@attrs.frozen
class Told:
    """What the command has said."""

    code: int
    stdout: str
    stderr: str

    @property
    def out(self) -> Any:
        """What stdout has, as JSON."""
        return json.loads(self.stdout)

    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.stderr.splitlines()


class World:
    """A folder, the command in it, and an origin."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], origin: Origin) -> None:
        self.folder = folder
        self.origin = origin
        self._capsys = capsys
        self._written = 0

    def write(self, text: str, name: str | None = None) -> str:
        """Write a file and give its name, relative to the folder."""
        self._written += 1
        name = name or f"flow{self._written}.yaml"
        (self.folder / name).write_text(dedent(text), encoding="utf-8")
        return name

    def command(self, *arguments: str) -> Told:
        """Call the command."""
        self._capsys.readouterr()
        code = main(arguments)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return Told(code, said.out, said.err)

    def __call__(self, *texts: str, alone: bool = False, args: tuple[str, ...] = ("-j",)) -> Told:
        """Run the base file and these texts, merged; `alone`: without the base."""
        files = [] if alone else [self.write(BASE, "base.yaml")]
        files += [self.write(text, f"flow{n}.yaml") for n, text in enumerate(texts, 1)]
        return self.command("run", *files, *args)

    def has(self, name: str) -> bool:
        """Is there such a file in the folder?"""
        return (self.folder / name).exists()


@pytest.fixture(scope="module")
def shared_origin() -> Iterator[Origin]:
    with Origin() as origin:
        yield origin


@pytest.fixture
def world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    shared_origin: Origin,
) -> World:
    shared_origin.reset()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FT_A", "alpha")
    monkeypatch.setenv("FT_B", "beta")
    monkeypatch.delenv("FT_NOPE", raising=False)
    monkeypatch.delenv("PLAIT_JOURNAL", raising=False)
    monkeypatch.setenv("PLAIT_ORIGIN", shared_origin.url)
    for name in [name for name in os.environ if name.lower() in {"http_proxy", "https_proxy"}]:
        monkeypatch.delenv(name)
    return World(tmp_path, capsys, shared_origin)
