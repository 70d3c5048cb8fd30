"""`-o FILE`: a file beside it is opened before the run, and takes its place at the end.

So whoever reads FILE finds the old text or the new one, never half of it; and what cannot be written
is known before anything has run.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from .exits import UsageError


class OutputFile:
    """The file that takes the results.

    Args:
        name: Where they are to be. A symbolic link is followed; a device or a pipe is written to as
            it is, since nothing can take its place.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._place = os.path.realpath(name)
        self._beside: str | None = None
        try:
            self._file = self._open()
        except OSError as error:
            raise UsageError(f"cannot write {name!r}: {error.strerror or error}") from error

    def _open(self) -> TextIO:
        try:
            mode = os.stat(self._place).st_mode  # noqa: PTH116
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISDIR(mode):
            raise UsageError(f"cannot write {self._name!r}: it is a folder")
        if mode is not None and not stat.S_ISREG(mode):
            return open(self._place, "w", encoding="utf-8")  # noqa: PTH123 - closed below
        folder, last = os.path.split(self._place)
        handle, self._beside = tempfile.mkstemp(dir=folder, prefix=f".{last}.", suffix=".part")
        os.chmod(self._beside, _new_mode() if mode is None else stat.S_IMODE(mode))  # noqa: PTH101
        return open(handle, "w", encoding="utf-8")  # noqa: PTH123

    def write(self, text: str) -> None:
        """Put this into FILE, in place of what was there.

        Raises:
            OSError: It could not be written; what was there is untouched.
        """
        self._file.write(text)
        self._file.flush()
        if self._beside is not None:
            os.fsync(self._file.fileno())
        self._file.close()
        if self._beside is not None:
            os.replace(self._beside, self._place)  # noqa: PTH105
            self._beside = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing beside FILE. If nothing was written, it is as it was."""
        with suppress(OSError):  # what could not be written has been said
            self._file.close()
        if self._beside is not None:
            os.unlink(self._beside)  # noqa: PTH108
            self._beside = None


def _new_mode() -> int:
    """The mode of a file that is made here: what the umask leaves."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
