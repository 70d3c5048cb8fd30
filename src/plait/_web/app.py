"""`plait.web.app`: a page for programs that have a server of their own."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

from plait._abc import Journal
from plait._errors import ConfigError
from plait._journal.given import is_journal, journal_of
from plait._show import show
from plait._strands._durable.app import App
from plait._strands._events.workflow import Workflow
from plait._strands._flows.flow import Flow

from .guard import LOOPBACK, is_name
from .page import LivePage


def app(
    target: Flow | Workflow[Any] | App | None = None,
    *,
    name: str | None = None,
    journal: Journal | str | PathLike[str] | None = None,
    token: str | None = None,
    hosts: Iterable[str] = LOOPBACK,
) -> LivePage:
    """Make a live page: an ASGI application, to be served by `plait.web.serve` or mounted in yours.

    Nothing is shown without the token: open the page once as `/?token=...`, or send the header
    `Authorization: Bearer ...`. Not a checkpoint.

    Args:
        target: What runs, a flow, a workflow or an app of durable functions: for its graph, and for the
            buttons, see `LivePage.open_doors`.
        name: What to call it; by default the name of the flow's file, or of the workflow.
        journal: Whose runs are listed beside those of this process: a journal, or the path of a file.
            By default that of the workflow. An app has its own.
        token: Who has it may look; by default a new one.
        hosts: The names, without a port, by which the server is called. A request for any other is
            refused.

    Raises:
        ConfigError: What is given as a target or a journal is none, an app comes with a journal, the
            token is empty, or what is among the hosts is no name.
        MissingExtra: Starlette is not installed.

    Example:
        ```python
        page = plait.web.app(journal="runs.db", token=settings.token, hosts=["ops.example.org"])
        main = Starlette(routes=[Mount("/plait", page)])
        result = await page.watch(Flow().run(topic="x"))
        ```
    """
    given: Any = target
    if not isinstance(given, Flow | Workflow | App | None):
        raise ConfigError(
            "the target must be a flow or a workflow's instance, or an app of durable functions, "
            f"not {show(given, 200)}"
        )
    if isinstance(given, App) and journal is not None:
        raise ConfigError("an app has a journal of its own: leave out journal=")
    if token == "":
        raise ConfigError(
            "the token is empty: give one that nobody can guess, or None for a new one"
        )
    return LivePage(target, name=name, journal=_journal(journal), token=token, hosts=_names(hosts))


def _names(hosts: Iterable[str]) -> list[str]:
    if isinstance(hosts, str):
        raise ConfigError(f"hosts must be a list of names: write hosts=[{hosts!r}]")
    names = [*hosts]
    for name in names:
        if not is_name(name):
            raise ConfigError(
                f"{show(name, 200)} in hosts is no name of a server: write it without http:// and "
                'without a port, as in hosts=["ops.example.org"]'
            )
    return names


def _journal(given: Journal | str | PathLike[str] | None) -> Journal | None:
    if given is None:
        return None
    if isinstance(given, str | PathLike) or is_journal(given):
        return journal_of(given)
    raise ConfigError(f"journal must be a journal or the path of a file, not {show(given, 200)}")
