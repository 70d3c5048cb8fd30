"""The filters and tests that templates have: Jinja's own, capped, and three more."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import jinja2
import jinja2.filters
import jinja2.nodes
import jinja2.tests
import jinja2.utils
import markupsafe

from . import caps
from .data import to_text
from .failures import TemplateError, TooMuch


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Count each call, and what it makes."""

    @functools.wraps(function)  # and with it the marks by which Jinja passes its context
    def counted(*args: Any, **kwargs: Any) -> Any:
        caps.turn()
        return caps.made(function(*args, **kwargs))

    return counted


def _center(value: Any, width: int = 80) -> str:
    caps.limit(width)
    return jinja2.filters.do_center(value, width)


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    caps.limit_format(_soft(value), kwargs or args)
    return jinja2.filters.do_format(value, *args, **kwargs)


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002
    each = width if isinstance(width, int) else len(width)
    caps.limit(len(s) + (s.count("\n") + 1) * each)
    return jinja2.filters.do_indent(s, width, first, blank)


@jinja2.pass_eval_context
def _join(
    eval_ctx: jinja2.nodes.EvalContext, value: Iterable[Any], d: str = "", attribute: Any = None
) -> str:
    if attribute is not None:
        value = map(jinja2.filters.make_attrgetter(eval_ctx.environment, attribute), value)
    parts = caps.listed(value)
    caps.limit_joined(d, parts)
    return jinja2.filters.sync_do_join(eval_ctx, parts, d)


@jinja2.pass_eval_context
def _replace(
    eval_ctx: jinja2.nodes.EvalContext, s: Any, old: Any, new: Any, count: int | None = None
) -> str:
    text, what = _soft(s), _soft(old)
    times = text.count(what)
    caps.limit(len(text) + (times if count is None else min(times, count)) * len(_soft(new)))
    return jinja2.filters.do_replace(eval_ctx, s, old, new, count)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > 400:  # a float has 308 digits before the point, and 324 after
        raise TooMuch("round: the precision is beyond what numbers have")
    return jinja2.filters.do_round(value, precision, method)


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Iterator[list[Any]]:
    caps.limit_items(linecount)
    return jinja2.filters.do_batch(value, linecount, fill_with)


def _slice(value: Iterable[Any], slices: int, fill_with: Any = None) -> Iterator[list[Any]]:
    caps.limit_items(slices)
    return jinja2.filters.sync_do_slice(cast("Any", value), slices, fill_with)


@jinja2.pass_environment
def _sum(
    environment: jinja2.Environment, iterable: Iterable[Any], attribute: Any = None, start: Any = 0
) -> Any:
    parts = caps.listed(iterable)
    if caps.is_list(start):
        found = parts
        if attribute is not None:
            found = [*map(jinja2.filters.make_attrgetter(environment, attribute), parts)]
        caps.limit_items(sum(len(one) for one in found if caps.is_list(one)))
    return jinja2.filters.sync_do_sum(environment, parts, attribute, start)


@jinja2.pass_environment
def _wordwrap(
    environment: jinja2.Environment,
    s: str,
    width: int = 79,
    break_long_words: bool = True,  # noqa: FBT001, FBT002
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,  # noqa: FBT001, FBT002
) -> str:
    if wrapstring is not None:
        lines = s.count("\n") + len(s) // max(1, width) + len(s.split()) + 1
        caps.limit(len(s) + len(wrapstring) * lines)
    return jinja2.filters.do_wordwrap(
        environment, s, width, break_long_words, wrapstring, break_on_hyphens
    )


def _pprint(value: Any) -> str:
    caps.limit_text_of(value)
    return jinja2.filters.do_pprint(value)


def _soft(value: Any) -> str:
    """Turn a value into text, as filters do, unless that is too much."""
    caps.limit_text_of(value)
    return markupsafe.soft_str(value)


def _from_json(value: Any) -> Any:
    try:
        return json.loads(_soft(value))
    except ValueError as error:
        raise TemplateError(f"fromjson: no JSON: {error}") from None


def _shquote(value: Any) -> str:
    return shlex.quote(to_text(value))


def _number_only(test: Callable[..., bool]) -> Callable[..., bool]:
    """Keep `'%999999999d' is odd` from being a format."""

    @functools.wraps(test)
    def checked(value: Any, *args: Any) -> bool:
        if isinstance(value, str | bytes):
            raise TypeError(f"not a number: {value[:40]!r}")
        return test(value, *args)

    return checked


def lipsum(n: int = 5, html: bool = True, min: int = 20, max: int = 100) -> str:  # noqa: A002, FBT001, FBT002
    caps.limit(n * max * 16)
    return jinja2.utils.generate_lorem_ipsum(n, html, min, max)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    name: _counted(function)
    for name, function in {
        **jinja2.filters.FILTERS,
        "batch": _batch,
        "center": _center,
        "format": _format,
        "fromjson": _from_json,
        "indent": _indent,
        "join": _join,
        "pprint": _pprint,
        "replace": _replace,
        "round": _round,
        "shquote": _shquote,
        "slice": _slice,
        "string": _soft,
        "sum": _sum,
        "wordwrap": _wordwrap,
    }.items()
}

TESTS: Final[Mapping[str, Callable[..., Any]]] = {
    **cast("Mapping[str, Callable[..., Any]]", jinja2.tests.TESTS),
    "divisibleby": _number_only(jinja2.tests.test_divisibleby),
    "even": _number_only(jinja2.tests.test_even),
    "odd": _number_only(jinja2.tests.test_odd),
}
