"""Reading the declared secrets, when a run starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Final

from .grammar import Secret
from .problems import Path, Place, Problems

LARGEST: Final = 10 * 1024 * 1024
"""Bytes of a secret's file."""


def read_secrets(
    declared: Mapping[str, Secret],
    *,
    environ: Mapping[str, str],
    folder: Callable[[Path], str],
    place: Callable[[Path], Place],
    problems: Problems,
) -> dict[str, str]:
    """Read every secret: an environment variable, or a file less one final newline.

    Args:
        declared: By name.
        environ: The environment.
        folder: Where a relative path starts: the folder of the file that says it.
        place: Where a path is in the file.
        problems: Takes what cannot be read.
    """
    values: dict[str, str] = {}
    for name, secret in declared.items():
        try:
            if secret.env is not None:
                values[name] = _from_environment(secret.env, environ)
            elif secret.file is not None:
                start = folder((*secret.path, "file"))
                values[name] = _from_file(str(PurePath(start, secret.file)))
        except _Unreadable as error:
            problems.add("secret", f"secret {name!r}: {error}", place(secret.path))
    return values


class _Unreadable(Exception):  # noqa: N818 - reads as what it says
    """A secret cannot be read. The text says why, and holds none of it."""


def _from_environment(variable: str, environ: Mapping[str, str]) -> str:
    try:
        return environ[variable]
    except KeyError:
        raise _Unreadable(f"environment variable {variable!r} is not set") from None


def _from_file(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - one way to open them all, devices too
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise _Unreadable("no such file") from None
    except IsADirectoryError:
        raise _Unreadable("is a directory") from None
    except ValueError:
        raise _Unreadable("no such file") from None  # a NUL in its name
    except OSError as error:
        raise _Unreadable(os.strerror(error.errno or 0)) from None
    if len(content) > LARGEST:
        raise _Unreadable("larger than 10 MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _Unreadable("not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
