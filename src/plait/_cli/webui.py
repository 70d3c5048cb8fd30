"""`plait webui`: a live page that stays, with buttons that run what it shows."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import trio
from cyclopts import Parameter

from plait._errors import ConfigError

from .exits import INTERRUPTED, UsageError
from .flows import no_orphans
from .journals import journal_at, journal_path
from .messages import say, tell
from .page import HOST, PORT, chosen_token, served
from .run import port as check_port
from .run import seconds
from .settings import flow_params, start_fields
from .signals import Interruption, heeding, terminable
from .targets import Named, durable_app, find

if TYPE_CHECKING:
    from plait._strands._durable.app import App
    from plait._strands._events.workflow import Workflow
    from plait._strands._flows.flow import Flow
    from plait._web.page import LivePage


async def webui(
    *targets: str,
    journal: str | None = None,
    runner: str | None = None,
    host: str = HOST,
    port: int = PORT,
    max_workers: int | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (),
    timeout: str | None = None,  # noqa: ASYNC109 - an option that is typed
) -> int:
    """Run flow files, a workflow or an app, and show it live in a browser.

    The page has the runs of the journal as well, if there is one; with no target it shows only those.
    Open the address that is printed: it has a token, without which nothing is answered. Ctrl-C cancels
    what is running, waits for its clean-up, and ends the server.

    Exit codes: 2 bad usage or files, 3 the address cannot be listened at, 130 interrupted.

    Args:
        targets: FILE... (- is standard input), module:Workflow, or module:app of durable functions.
        journal: Keep the runs in this file, and list them; by default in $PLAIT_JOURNAL. An app has its own.
        runner: Show the runs of another process, and press its buttons: the address that it has printed.
        host: The address to listen at; by default 127.0.0.1. Any but this machine's own lets others in, unencrypted.
        port: The port; by default 8000, 0 for any that is free.
        max_workers: How many steps may run at once; by default, and for 0, as many as the file says, else 4.
        set_: NAME=VALUE: a param of the flow, or a field of the workflow's start event.
        timeout: How long a run may take: seconds, or 500ms, 2s, 1m30s.
    """
    with terminable(), redirect_stdout(sys.stderr):
        check_port("--port", port)
        if runner is not None:
            if targets:
                raise UsageError("--runner shows the run of another process: leave out the target")
            return await _stay(_remote(runner), host, port)
        from plait._web.page import LivePage

        kept = journal_path(journal)
        if not targets:
            if kept is None:
                text = "webui needs FILE..., module:Workflow, module:app, --journal FILE or --runner ADDRESS"
                raise UsageError(f"{text}. Type: plait webui --help")
            return await _stay(
                LivePage(name=kept, journal=journal_at(kept), token=chosen_token()), host, port
            )
        app = durable_app(targets)
        if app is not None:
            if journal is not None or max_workers is not None or set_ or timeout is not None:
                text = "an app of durable functions takes no --journal, --max-workers, --set or --timeout"
                raise UsageError(f"{text}: all of these are in its code")
            return await _stay(LivePage(app, token=chosen_token()), host, port, app=app)
        return await _run(targets, kept, host, port, max_workers, set_, timeout)


def _remote(address: str) -> LivePage:
    from plait._web.page import LivePage
    from plait._web.remote import Remote

    try:
        return LivePage(remote=Remote(address), token=chosen_token())
    except ConfigError as error:
        raise UsageError(str(error)) from error


async def _run(
    targets: tuple[str, ...],
    kept: str | None,
    host: str,
    port: int,
    max_workers: int | None,
    settings: tuple[str, ...],
    timeout: str | None,  # noqa: ASYNC109 - an option that is typed
) -> int:
    from plait._web.page import LivePage

    limit = None if timeout is None else seconds(timeout)
    found = find(targets, "webui")
    journal = None if kept is None else journal_at(kept)
    target: Flow | Workflow[Any]
    if isinstance(found, Named):
        if max_workers is not None:
            text = "--max-workers is for flow files: num_workers is declared on each step"
            raise UsageError(text)
        target, name = found.workflow, found.name
        if journal is not None:
            target._journal = journal
        if limit is not None:
            target._timeout = limit
        options: dict[str, Any] = {"fields": start_fields(target.start_event_class, settings)}
    else:
        from plait._strands._flows.flow import load

        target = load(found.names, max_workers=max_workers, timeout=limit)
        name = target.name
        for warning in target.warnings:
            say(warning)
        options = {"params": flow_params(target.checked, settings)}
    return await _stay(
        LivePage(target, name=name, journal=journal, token=chosen_token()), host, port, options
    )


async def _stay(
    page: LivePage,
    host: str,
    port: int,
    options: dict[str, Any] | None = None,
    *,
    app: App | None = None,
) -> int:
    """Serve the page until somebody interrupts; begin a run first, if there is something to run.

    An app is served as well: its runs go on where they were left, and are suspended at the end.
    """
    heard = Interruption()
    with trio.CancelScope() as scope, heeding(scope.cancel, heard):
        # First the runs end, with the server; then what their processes have left behind.
        async with no_orphans(heard), served(page, host, port) as nursery:
            if options is not None:
                page.open_doors(nursery, grace=heard.grace, **options)
                _begin(page)
            if app is not None:
                await nursery.start(app.serve_forever)
                page.open_doors(nursery)
            tell("Ctrl-C ends it")
            await trio.sleep_forever()
    return INTERRUPTED


def _begin(page: LivePage) -> None:
    """Begin the first run.

    Raises:
        UsageError: It cannot begin as it is asked for.
        FlowConfigError: Its params or secrets are wrong.
    """
    from plait._strands._flows.problems import FlowConfigError
    from plait._web.refused import Refused

    try:
        page._begin()
    except Refused as error:
        if isinstance(error.__cause__, FlowConfigError):
            raise error.__cause__ from None
        raise UsageError(str(error)) from error
