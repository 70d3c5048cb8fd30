"""What is asked for: a request, made from rendered options and a payload."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, cast
from urllib.parse import unquote, urlencode, urlsplit

import attrs

from plait._abc import JSON
from plait._strands._flows.templates import as_text

from .options import BOTH, CONFIGURATION, Misfit, Option, table

OPTIONS: Final = table(
    Option("url", "text", BOTH, legacy=True),
    Option("base_url"),
    Option("method", "text", BOTH, legacy=True),
    Option("headers", "table", BOTH, legacy=True),
    Option("input_mode", "text", CONFIGURATION, legacy=True, words=("parameter", "body")),
    Option("param_name", "text", CONFIGURATION, legacy=True),
    Option("params", "pairs"),
    Option("json", "any"),
    Option("form", "mapping"),
    Option("data", "form"),
    Option("body", "text"),
    Option("auth", "auth"),
    Option("timeout", "duration"),
    Option("follow_redirects", "hops"),
    Option("verify", "trust"),
    Option("max_body", "size"),
    Option("proxy", "text", CONFIGURATION),
    Option("idempotency_key", "flag"),
)

#: At most one of these is sent.
BODIES: Final = ("json", "form", "data", "body")
TIMEOUT: Final = 30.0
HOPS: Final = 30
MOST_BODY: Final = 64 << 20
JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER: Final = _METHOD


class RequestError(Exception):
    """A request cannot be made of these options."""


@attrs.frozen(eq=False, kw_only=True)
class Request:
    """A request, and how far it may go.

    Attributes:
        method: A word in capitals.
        url: All of it but user and password.
        headers: By name; `None` takes a default one away.
        body: What is sent; `None`: nothing.
        timeout: Seconds for the whole exchange.
        hops: How many redirects are followed.
        most: Bytes of an answer that are taken.
        verify: Whether certificates are checked; or a file of those that are trusted.
        proxy: Where the request goes through; `None`: what the environment says.
    """

    method: str
    url: str
    headers: Mapping[str, str | None]
    body: bytes | None
    timeout: float
    hops: int
    most: int
    verify: bool | str
    proxy: str | None


def lay_over(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Lay the options of an input over those of the configuration. Both have been read."""
    laid = {**below, **above}
    if "headers" in below and "headers" in above:
        laid["headers"] = _merge_headers(
            cast("dict[str, str | None]", below["headers"]),
            cast("dict[str, str | None]", above["headers"]),
        )
    if "params" in below and "params" in above:
        new = cast("list[tuple[str, object]]", above["params"])
        names = {name for name, _ in new}
        old = cast("list[tuple[str, object]]", below["params"])
        laid["params"] = [*(pair for pair in old if pair[0] not in names), *new]
    return laid


def _merge_headers(
    below: Mapping[str, str | None], above: Mapping[str, str | None]
) -> dict[str, str | None]:
    given = {name.lower() for name in above}
    return {**{name: one for name, one in below.items() if name.lower() not in given}, **above}


def make(options: Mapping[str, object], payload: JSON, key: str) -> Request:
    """Make a request.

    Args:
        options: The options, laid over each other and read.
        payload: What `input_mode` says where to send; `None`: nothing.
        key: The attempt's key, for `idempotency_key`.

    Raises:
        RequestError: It cannot be made.
        Misfit: An option is not what it should be.
        TemplateError: There is a null where text is expected.
    """
    url, user = _url(options)
    body, kind = _body(options)
    pairs = [*_pairs(cast("list[tuple[str, object]]", options.get("params", [])))]
    if payload is not None:
        if options.get("input_mode") == "parameter":
            pairs += _parameters(cast("str", options.get("param_name", "id")), payload)
        else:
            body, kind = to_json(payload), JSON_TYPE
    headers = _headers(options, kind)
    authorization = _authorization(options, user)
    if authorization is not None:
        if any(name.lower() == "authorization" for name, one in headers.items() if one is not None):
            if "auth" in options:
                raise RequestError("auth and an Authorization header exclude each other")
        else:
            headers["Authorization"] = authorization
    if options.get("idempotency_key", False):
        headers["Idempotency-Key"] = key
    method = cast("str", options.get("method", "GET")).upper()
    if not _METHOD.fullmatch(method):
        raise Misfit(("method",), "a word", method)
    hops = options.get("follow_redirects", True)
    return Request(
        method=method,
        url=_with_query(url, pairs),
        headers=headers,
        body=body,
        timeout=cast("float", options.get("timeout", TIMEOUT)),
        hops=(HOPS if hops else 0) if isinstance(hops, bool) else cast("int", hops),
        most=cast("int", options.get("max_body", MOST_BODY)),
        verify=cast("bool | str", options.get("verify", True)),
        proxy=cast("str | None", options.get("proxy")),
    )


def to_json(value: object) -> bytes:
    """Write a JSON body.

    Raises:
        RequestError: JSON cannot say this.
    """
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error


def _url(options: Mapping[str, object]) -> tuple[str, str | None]:
    """Give the URL, and the user part of it."""
    url = cast("str", options.get("url", "")).strip()
    base = cast("str", options.get("base_url", "")).strip()
    if base and not urlsplit(url).scheme:
        url = f"{base.rstrip('/')}/{url.lstrip('/')}" if url else base
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RequestError(f"the url is not valid: {error}") from error
    if not parts.scheme or not parts.netloc:
        raise RequestError("the url must begin with http:// or https://")
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host, fragment="").geturl(), user if at else None


def user_parts(user: str) -> tuple[str, str]:
    """Split the user part of a URL into name and password."""
    name, _, password = user.partition(":")
    return unquote(name), unquote(password)


def _authorization(options: Mapping[str, object], user: str | None) -> str | None:
    match options.get("auth"):
        case ("basic", str(name), str(password)):
            pass
        case ("bearer", str(token)):
            return f"Bearer {token}"
        case _:
            if user is None:
                return None
            name, password = user_parts(user)
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def user_of(url: object) -> str:
    """Give the user part of a URL, `""` if it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[0] if isinstance(url, str) else ""
    except ValueError:
        return ""


def secrets_of(options: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    """Give what must not be shown of these options, each with a name."""
    match options.get("auth"):
        case ("basic", str(user), str(password)):
            yield from ((password, "auth.password"), (f"{user}:{password}", "auth.basic"))
        case ("bearer", str(token)):
            yield token, "auth.bearer"
        case _:
            pass
    for key in ("url", "base_url", "proxy"):
        user = user_of(options.get(key))
        if user:
            name, password = user_parts(user)
            yield user, f"{key}.user"
            yield password or name, f"{key}.password"
            yield f"{name}:{password}", f"{key}.basic"


def _headers(options: Mapping[str, object], kind: str | None) -> dict[str, str | None]:
    headers = {**cast("dict[str, str | None]", options.get("headers", {}))}
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise RequestError(f"{name!r} is not the name of a header")
        if value is not None and any(mark in value for mark in "\r\n\0"):
            raise RequestError(f"header {name!r} has a line break or a NUL character in its value")
    if kind is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    return headers


def _body(options: Mapping[str, object]) -> tuple[bytes | None, str | None]:
    given = [name for name in BODIES if name in options]
    if len(given) > 1:
        raise RequestError(too_many_bodies(given))
    for name in given:
        value = options[name]
        if name == "json":
            return to_json(value), JSON_TYPE
        if isinstance(value, str):
            return value.encode("utf-8", "replace"), None
        pairs = [*_pairs([*cast("dict[str, object]", value).items()])]
        return urlencode(pairs).encode(), FORM_TYPE
    return None, None


def too_many_bodies(given: Iterable[str]) -> str:
    """Say that there is more than one body."""
    return (
        f"at most one of {', '.join(BODIES[:-1])} and {BODIES[-1]}: here are {' and '.join(given)}"
    )


def _pairs(given: Iterable[tuple[str, object]]) -> Iterable[tuple[str, str]]:
    """Write out parameters: a list repeats its name, null leaves it out, bool is `true`."""
    for name, value in given:
        each = cast("list[object]", value) if isinstance(value, list) else [value]
        for one in each:
            if one is not None:
                yield name, as_text(one, name)


def _parameters(name: str, payload: JSON) -> Iterable[tuple[str, str]]:
    """Write out a payload, as it has always been: bool is `True`."""
    if isinstance(payload, dict):
        for key, value in payload.items():
            yield from (
                _parameters(key, value)
                if not isinstance(value, dict)
                else [(key, json.dumps(value))]
            )
        return
    for one in payload if isinstance(payload, list) else [payload]:
        if one is not None:
            yield name, json.dumps(one) if isinstance(one, dict | list) else str(one)


def _with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    more = urlencode([*pairs])
    if not more:
        return url
    parts = urlsplit(url)
    return parts._replace(query=f"{parts.query}&{more}" if parts.query else more).geturl()
