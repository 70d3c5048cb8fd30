"""The digest of a function's source: what counts, and what does not."""

import functools
import linecache
import textwrap

import pytest

from plait._strands._durable.source import digest

COUNTER = iter(range(10_000))


def made(text, name="f"):
    """A function of this source, as if it stood in a file."""
    text = textwrap.dedent(text)
    file = f"<source {next(COUNTER)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope = {"decorate": lambda fn: fn, "options": lambda **_: lambda fn: fn}
    exec(compile(text, file, "exec"), scope)
    return scope[name]


BASE = """
async def f(ctx):
    a = 1
    return await ctx.step.run("a", g, a)
"""

THE_SAME = {
    "comments": """
# above
async def f(ctx):  # beside
    # inside
    a = 1
    return await ctx.step.run("a", g, a)
    # below
""",
    "layout": """
async def f( ctx ):

    a = (
        1
    )
    return await ctx.step.run(
        'a',
        g,
        a,
    )
""",
    "decorators": """
@options(retries=3)
@decorate
async def f(ctx):
    a = 1
    return await ctx.step.run("a", g, a)
""",
    "its place": """
def before(): pass
if True:
    if True:
        async def f(ctx):
            a = 1
            return await ctx.step.run("a", g, a)
def after(): pass
""",
}

ANOTHER = {
    "a number": BASE.replace("1", "2"),
    "a number of another type": BASE.replace("1", "1.0"),
    "a truth": BASE.replace("1", "True"),
    "None": BASE.replace("1", "None"),
    "a text": BASE.replace('"a"', '"b"'),
    "an operation": BASE.replace("a = 1", "a = -1"),
    "a name": BASE.replace("g, a", "h, a"),
    "an argument": BASE.replace("g, a", "g, a, a"),
    "the order": BASE.replace("g, a", "a, g"),
    "a parameter": BASE.replace("ctx):", "ctx, b=1):"),
    "its kind": BASE.replace("async ", "").replace("await ", ""),
    "no statement": BASE.replace("    a = 1\n", ""),
    "a docstring": BASE.replace("    a = 1\n", '    "a"\n    a = 1\n'),
    "nesting": BASE.replace("    a = 1\n", "    if g:\n        a = 1\n"),
}


@pytest.mark.parametrize("text", THE_SAME.values(), ids=THE_SAME)
def test_what_does_not_change_what_it_does_does_not_count(text):
    assert digest(made(text)) == digest(made(BASE))


@pytest.mark.parametrize("text", ANOTHER.values(), ids=ANOTHER)
def test_what_changes_what_it_does_counts(text):
    assert digest(made(text)) != digest(made(BASE))


def test_all_of_these_differ_from_each_other():
    assert len({digest(made(text)) for text in ANOTHER.values()}) == len(ANOTHER)


def test_texts_of_several_lines_do_not_disturb_it():
    inner = '''
    if True:
        async def f(ctx):
            text = """
    further left
            """
            return text
    '''
    assert digest(made(inner)) is not None


def test_a_wrapped_function_is_looked_through():
    plain = made(BASE)

    @functools.wraps(plain)
    async def wrapper(ctx):
        return await plain(ctx)

    assert digest(wrapper) == digest(plain)


def test_without_source_there_is_none():
    scope = {}
    exec("def f(): pass", scope)
    assert digest(scope["f"]) is None
    assert digest(len) is None


ALL_SORTS = '''
async def f(ctx, /, a: int = 1, *args: str, b=None, **kw) -> "x":
    """Doc."""
    match a:
        case {"a": [1, *_], **rest} if a > 1: pass
        case str() | None: x = f"{a!r:>{b}} {a=} text"
    async with ctx as c, ctx: pass
    try:
        y = [i async for i in c if i]; del y
    except* OSError as e: raise ValueError from e
    else: return lambda *, k=1: (yield_ := k)
    z: list[int] = [*args, 1.5, 2j, b"a", ..., -1, True]
    global w
    class K(ctx, m=1):
        @property
        def p(self): return self.x[1:2, ::3]
    while not z: break
    import os.path as p, q
    from . import r
    assert a, "b"
    return {**kw, "a": {1, 2}, 'b': (1,) if a else ()}
'''


def test_it_stays_what_it_was_in_earlier_releases_and_on_other_pythons():
    assert digest(made(BASE)) == "1182515e51a93b6e9aed5fdd2d1331372eff0025411a075e1a165d944c6efb63"
    assert (
        digest(made(ALL_SORTS))
        == "291b7d7d52a12e51fdff39a2e67896b9c7fb187faebf68c9fee3e26b83e8a8d6"
    )
