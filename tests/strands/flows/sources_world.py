"""A run's sources for tests: real ones, without a run around them."""

from contextlib import asynccontextmanager

import attrs

from plait._abc import SourceContext, SourceResult
from plait._engine.native import current
from plait._strands._flows.problems import Place, Problems
from plait._strands._flows.sources.catalog import Parts, SourceRun, find
from plait._strands._flows.sources.options import Options
from plait._strands._flows.sources.pool import Pool

CONTEXT = SourceContext("run1", "a", None, 1, "key-1")


class Hidden:
    """A redactor that only remembers what it was given."""

    def __init__(self):
        self.values = []

    def add(self, value, name):
        self.values.append((value, name))

    def text(self, text):
        for value, _ in self.values:
            text = text.replace(value, "***")
        return text


@attrs.define
class Sources:
    """The sources of a run."""

    pool: Pool
    hidden: Hidden

    async def call(
        self, name, configuration, payload=None, *, options=None, context=CONTEXT, **more
    ):
        if options is not None:
            payload = Options(options)
        result = await self.pool.call(find(name), configuration, payload, context, **more)
        return result if isinstance(result, SourceResult) else SourceResult(result)


@asynccontextmanager
async def sources(**options):
    hidden = Hidden()
    run = SourceRun(backend=current(), run_id="run1", redactor=hidden, **options)
    pool = Pool(run)
    try:
        yield Sources(pool, hidden)
    finally:
        await pool.aclose()


def check(name, configuration, given=None, **options):
    """What a provider makes of a step, and what it finds wrong."""
    problems = Problems()

    def place(path):
        return Place("f.yaml", 3, 5, path)

    parts = Parts(
        step="a",
        configuration=configuration,
        input=given,
        place=place,
        key_place=place,
        step_place=Place("f.yaml", 1, 1, ("flow", 0)),
        problems=problems,
        **options,
    )
    return find(name).check(parts), problems


def found(name, configuration, given=None, **options):
    """The texts of what is wrong."""
    _, problems = check(name, configuration, given, **options)
    return [problem.message for problem in problems.errors]
