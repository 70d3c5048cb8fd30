"""`rest`: HTTP requests."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from plait._abc import JSON, SourceContext, SourceResult
from plait._errors import MissingExtra
from plait._strands._flows.marks import Raw
from plait._strands._flows.problems import Path
from plait._strands._flows.templates import TemplateError

from .legacy import Unwrapped, unwrap
from .options import Misfit, Options, from_folder, is_template, plain_mapping, read_all
from .parsing import parse
from .provider import Parts, Provider, Reading, SourceFailure, SourceRun, Style, misfit_result
from .request import (
    BODIES,
    OPTIONS,
    Request,
    RequestError,
    lay_over,
    make,
    secrets_of,
    too_many_bodies,
)

if TYPE_CHECKING:
    from .transport import Answer, Clients

SCHEMES: Final = ("http", "https")
MISSING: Final = "rest steps need httpx2. Type: pip install 'plait[flows]'"


class Rest(Provider):
    """The provider `rest`."""

    name = "rest"
    options = OPTIONS

    def takes_options(self, given: object, configuration: Mapping[str, object]) -> bool:
        """Say whether this input is options: it is a mapping, and the source has no `input_mode`."""
        given = given.value if isinstance(given, Raw) else given
        return isinstance(given, dict) and configuration.get("input_mode") is None

    def style(self, path: Path) -> Style:
        """Say how a string at this path is rendered."""
        if path[0] == "input":
            return "text" if len(path) == 1 else "native"
        option = OPTIONS.get(str(path[1])) if len(path) > 1 else None
        return "text" if option is not None and option.legacy else "native"

    def check(self, parts: Parts) -> Reading:
        """Find what is wrong with a step that uses this provider."""
        if importlib.util.find_spec("httpx2") is None:
            parts.problems.add("source", MISSING, parts.step_place)
        configuration = {**parts.configuration}
        parts.check_keys(("configuration",), configuration, OPTIONS)
        mode = configuration.get("input_mode")
        unwrapped: Unwrapped | None = None
        if mode != "body" or parts.compat:
            unwrapped = unwrap(parts)
        given = parts.input
        if unwrapped is not None:
            given = unwrapped.value
            if mode is None:
                configuration["input_mode"] = mode = unwrapped.mode
        options = unwrapped is None and self.takes_options(given, configuration)
        inputs: dict[str, object] = {}
        if options:
            given = inputs = plain_mapping(given)
            parts.check_keys(("input",), inputs, OPTIONS)
        elif given is not None and mode is None:
            parts.add(
                "shape",
                "input needs input_mode: parameter or body in the source, or write request options",
                ("input",),
            )
        _check_together(parts, configuration, inputs)
        return Reading(
            configuration=configuration,
            input=given,
            input_at=("input",) if unwrapped is None else unwrapped.at,
            options=options,
            folders=parts.folders("configuration", configuration, "verify"),
            input_folders=parts.folders("input", inputs, "verify"),
        )

    def open(
        self, configuration: Mapping[str, JSON], *, run: SourceRun, folders: Mapping[str, str]
    ) -> RestSource:
        """Make a source."""
        try:
            from . import transport  # noqa: PLC0415 - httpx2, with the first request
        except ImportError as error:
            raise MissingExtra(MISSING) from error
        try:
            settings = _read(configuration, folders, run)
        except (Misfit, TemplateError) as error:
            raise SourceFailure(misfit_result(error)) from error
        return RestSource(settings, run, run.shared(transport.Clients, transport.Clients))


def _read(
    given: Mapping[str, object], folders: Mapping[str, str], run: SourceRun
) -> dict[str, object]:
    """Read rendered options, and have the run hide the secrets among them."""
    settings = read_all(OPTIONS, given)
    for value, name in secrets_of(settings):
        run.redactor.add(value, name)
    if isinstance(settings.get("verify"), str):
        folder = folders.get("verify", run.folder)
        settings["verify"] = from_folder(folder, cast("str", settings["verify"]))
    return settings


# ---------------------------------------------------------------- checking


def _check_together(
    parts: Parts, configuration: Mapping[str, object], inputs: Mapping[str, object]
) -> None:
    """Check what only the two mappings together can show."""
    laid = {name: value for name, value in {**configuration, **inputs}.items() if value is not None}

    def at(name: str) -> Path:
        return ("input" if inputs.get(name) is not None else "configuration", name)

    url = laid.get("url")
    if url is None:
        message = f"step {parts.step!r}: rest needs a url in input or in configuration"
        parts.problems.add("url", message, parts.step_place)
    elif isinstance(url, str) and not is_template(url):
        _check_url(parts, url, at("url"), is_relative_fine="base_url" in laid)
    base = laid.get("base_url")
    if isinstance(base, str) and not is_template(base):
        _check_url(parts, base, at("base_url"), is_relative_fine=False)
    bodies = [name for name in BODIES if name in laid]
    if laid.get("input_mode") == "body" and bodies and parts.input is not None:
        parts.add("shape", f"input_mode: body and {bodies[0]} exclude each other", at(bodies[0]))
    elif len(bodies) > 1:
        parts.add("shape", too_many_bodies(bodies), at(bodies[1]))
    if "auth" in laid:
        for part, given in (("configuration", configuration), ("input", inputs)):
            headers = given.get("headers")
            if isinstance(headers, dict):
                for name, value in cast("dict[str, object]", headers).items():
                    if name.lower() == "authorization" and value is not None:
                        message = "auth and an Authorization header exclude each other"
                        parts.add("shape", message, (part, "headers", name))
    if parts.deny_private and "proxy" in laid:
        message = "deny_private cannot hold with a proxy, which looks up the address"
        parts.add("shape", message, at("proxy"))


def _check_url(parts: Parts, url: str, path: Path, *, is_relative_fine: bool) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        parts.add("url", f"the {path[1]} is not valid: {error}", path)
        return
    if scheme.lower() not in SCHEMES and (scheme or not is_relative_fine):
        hint = "" if is_relative_fine or scheme or path[1] != "url" else ", or add a base_url"
        parts.add("url", f"{path[1]} must begin with http:// or https://{hint}", path)


# ---------------------------------------------------------------- calling


class RestSource:
    """Sends a request for each call."""

    def __init__(self, settings: Mapping[str, object], run: SourceRun, clients: Clients) -> None:
        self._settings = settings
        self._run = run
        self._clients = clients

    async def call(self, payload: JSON | Options, context: SourceContext) -> SourceResult:
        """Send the request and take the answer. A checkpoint; a cancellation closes the connection."""
        from .transport import ExchangeError  # noqa: PLC0415 - loaded when this source was opened

        backend = self._run.backend
        try:
            request = self._request(payload, context)
        except (Misfit, TemplateError) as error:
            await backend.checkpoint()
            return misfit_result(error)
        except (RequestError, UnicodeError) as error:
            await backend.checkpoint()
            return SourceResult(ok=False, message=str(error))
        found: list[Answer] = []
        with backend.cancel_scope(deadline=backend.clock()() + request.timeout):
            try:
                found.append(await self._clients.exchange(request))
            except ExchangeError as error:
                await backend.checkpoint()
                return SourceResult(
                    ok=False, message=str(error), kind=error.kind, detail=_asked(request)
                )
        if not found:
            detail = f"{_asked(request)}: the source's timeout of {request.timeout:g} s"
            return SourceResult(ok=False, message="timeout", kind="timeout", detail=detail)
        (answer,) = found
        if not answer.is_success:
            return _failure(answer)
        data = await self._data(answer)
        return SourceResult(data, code=answer.status, status=answer.status, headers=answer.headers)

    async def aclose(self) -> None:
        """Do nothing: connections are the run's, and closed with it. A checkpoint."""
        await self._run.backend.checkpoint()

    def _request(self, payload: JSON | Options, context: SourceContext) -> Request:
        if not isinstance(payload, Options):
            return make(self._settings, payload, context.key)
        inputs = _read(payload.values, payload.folders, self._run)
        return make(lay_over(self._settings, inputs), None, context.key)

    async def _data(self, answer: Answer) -> JSON:
        if not answer.body:
            return ""  # noqa: ASYNC910 - the request itself has waited
        parsed = await parse(self._run.backend, len(answer.body), partial(json.loads, answer.body))
        return _text(answer) if parsed is None else parsed[0]


def _asked(request: Request) -> str:
    parts = urlsplit(request.url)
    return f"{request.method} {parts._replace(query='', fragment='').geturl()}"


def _text(answer: Answer) -> str:
    try:
        return answer.body.decode(answer.charset or "utf-8", "replace")
    except LookupError:  # nobody knows such characters
        return answer.body.decode("utf-8", "replace")


def _failure(answer: Answer) -> SourceResult:
    response: dict[str, JSON] = {
        "status": answer.status,
        "headers": {**answer.headers},
        "body": _text(answer),
    }
    return SourceResult(
        ok=False,
        message=f"HTTP status {answer.status}",
        kind="http_status",
        code=answer.status,
        retry_after=_retry_after(answer.headers.get("retry-after")),
        detail=answer.asked,
        status=answer.status,
        headers=answer.headers,
        response=response,
    )


def _retry_after(text: str | None) -> float | None:
    """Read `Retry-After`: seconds, or a date."""
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
