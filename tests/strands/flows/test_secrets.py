"""Reading secrets, and fingerprints that hold none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plait._strands._flows.fingerprint import fingerprint
from plait._strands._flows.grammar import Out, Secret
from plait._strands._flows.outputs import compile_outputs
from plait._strands._flows.problems import Place, Problems
from plait._strands._flows.redaction import Redactor
from plait._strands._flows.secrets import LARGEST, read_secrets


def read(folder: Path, environ: dict[str, str] | None = None, /, **declared: Secret):
    problems = Problems()
    values = read_secrets(
        declared,
        environ=environ or {},
        folder=lambda path: str(folder) if path[-1] == "file" else "elsewhere",
        place=lambda path: Place(path=path),
        problems=problems,
    )
    return values, [(error.code, error.message) for error in problems.errors]


def test_from_the_environment():
    values, errors = read(Path(), {"V": "value\n"}, s=Secret(env="V"))
    assert (values, errors) == ({"s": "value\n"}, [])


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"value", "value"),
        (b"value\n", "value"),
        (b"value\r\n", "value"),
        (b"value\n\n", "value\n"),
        (b"a\r\nb\n", "a\r\nb"),
        (b"value\r", "value\r"),
        ("é".encode(), "é"),
        (b"", ""),
    ],
)
def test_from_a_file_less_one_newline(tmp_path, content, value):
    (tmp_path / "key").write_bytes(content)
    assert read(tmp_path, s=Secret(file="key")) == ({"s": value}, [])
    assert read(Path("nowhere"), s=Secret(file=str(tmp_path / "key"))) == ({"s": value}, [])


def test_all_that_cannot_be_read_comes_at_once(tmp_path):
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    values, errors = read(
        tmp_path,
        unset=Secret(env="V"),
        missing=Secret(file="nope"),
        folder=Secret(file="."),
        latin=Secret(file="latin"),
        large=Secret(file="large"),
        nul=Secret(file="a\0b"),
    )
    assert not values
    assert errors == [
        ("secret", "secret 'unset': environment variable 'V' is not set"),
        ("secret", "secret 'missing': no such file"),
        ("secret", "secret 'folder': is a directory"),
        ("secret", "secret 'latin': not UTF-8 text"),
        ("secret", "secret 'large': larger than 10 MiB"),
        ("secret", "secret 'nul': no such file"),
    ]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "key").write_text("value")
    (tmp_path / "key").chmod(0)
    assert read(tmp_path, s=Secret(file="key"))[1] == [("secret", "secret 's': Permission denied")]


# ------------------------------------------------------------------ fingerprints


def outputs(*outs: Out):
    problems = Problems()
    place = Place()
    found = compile_outputs(
        outs, step="a", provider="rest", place=lambda _: place, problems=problems
    )
    assert not problems.errors
    return found


def redactor(**secrets: str) -> Redactor:
    made = Redactor()
    for name, value in secrets.items():
        made.add(value, f"secrets.{name}")
    return made


BASE = ("rest", {"url": "/x", "n": 1}, ["payload"])


def test_the_same_question_has_the_same_fingerprint():
    first = fingerprint(*BASE, outputs(Out(name="o")), redactor())
    again = fingerprint(
        "rest", {"n": 1, "url": "/x"}, ["payload"], outputs(Out(name="o")), redactor()
    )
    assert first == again
    assert len(first) == 32
    assert int(first, 16) >= 0


def test_what_matters_changes_it():
    def of(provider="rest", configuration=BASE[1], payload=BASE[2], out=(Out(name="o"),)):
        return fingerprint(provider, configuration, payload, outputs(*out), redactor())

    found = [
        of(),
        of(provider="process"),
        of(configuration={"url": "/x", "n": 1.0}),
        of(configuration={"url": "/x", "n": True}),
        of(configuration={"url": "/x", "n": "1"}),
        of(configuration={"url": "/y", "n": 1}),
        of(payload=None),
        of(payload=["payload", None]),
        of(out=()),
        of(out=(Out(name="p"),)),
        of(out=(Out(name="o", type="json"),)),
        of(out=(Out(name="o", type="jmespath", value="a"),)),
        of(out=(Out(name="o", type="jmespath", value="b"),)),
        of(out=(Out(name="o", type="jmespath", value="b", default=1),)),
        of(out=(Out(name="o", from_="status"),)),
        of(out=(Out(name="o"), Out(name="p"))),
    ]
    assert len({*found}) == len(found)


def test_a_rotated_secret_changes_nothing():
    def of(secret: str, text: str) -> str:
        return fingerprint("rest", {"key": text}, None, (), redactor(key=secret))

    assert of("hunter2", "x hunter2") == of("swordfish", "x swordfish")
    assert of("a b/c d", "a%20b%2Fc%20d") == of("hunter2", "hunter2")
    assert of("hunter2", "x hunter2") != of("swordfish", "x hunter2")
    assert of("hunter2", "x hunter2") != of("hunter2", "y hunter2")


def test_another_secret_is_another_question():
    both = redactor(a="hunter2", b="swordfish")
    one = fingerprint("rest", {"key": "hunter2"}, None, (), both)
    assert one != fingerprint("rest", {"key": "swordfish"}, None, (), both)


def test_odd_values_have_one_too():
    for value in (float("nan"), float("inf"), "\ud800", 10**100):
        assert len(fingerprint("rest", {"k": value}, None, (), redactor())) == 32
