"""Canonical JSON: the one text that there is of JSON values. Sorted keys, no spaces, no NaN, UTF-8."""

from __future__ import annotations

from json import JSONDecoder, JSONEncoder
from typing import Final, NoReturn, cast


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _encoder(*, ascii_only: bool) -> JSONEncoder:
    return JSONEncoder(
        sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=ascii_only
    )


# Made once: `json.dumps` makes an encoder at each call.
to_text: Final = _encoder(ascii_only=False).encode
_to_ascii: Final = _encoder(ascii_only=True).encode
_decoder: Final = JSONDecoder(parse_constant=_refuse_constant)
_from_text: Final = _decoder.decode
_read_one: Final = _decoder.raw_decode


def to_bytes(data: object) -> bytes:
    """Write JSON values in the one way there is.

    Raises:
        ValueError: There is a NaN or an infinity among them.
        TypeError: There is something else among them.
    """
    text = to_text(data)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as in the name of an odd file
        return _to_ascii(data).encode()


def from_bytes(body: bytes) -> object:
    """Read what `to_bytes` writes.

    Raises:
        ValueError: It is no JSON in UTF-8.
        RecursionError: It is too deep.
    """
    text = str(body, "utf-8")
    if text[:1] == "{":  # as a rule: no space before it, and none behind
        data, end = _read_one(text)
        if end == len(text):
            return cast("object", data)
    return cast("object", _from_text(text))
