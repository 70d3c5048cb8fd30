"""`check_source`: good sources pass, and each law catches a source that breaks it."""

import re

import anyio
import attrs
import pytest

from plait._engine.native import current
from plait.abc import SourceResult
from plait.testing import check_source
from plait.testing._source_laws import LAWS


class Good:
    def __init__(self, configuration):
        self.word = configuration.get("word", "hi")
        self.lock = None

    async def call(self, payload, context):
        native = current()
        for _ in range(3):
            await native.checkpoint()
        await self.work(payload)
        return SourceResult({"said": f"{self.word} {payload}", "attempt": context.attempt})

    async def work(self, payload):
        await current().checkpoint()

    async def aclose(self):
        await current().checkpoint()


def breaks(source, law, text="", **options):
    with pytest.raises(AssertionError) as caught:
        check_source(source, payload="you", timeout=5, **options)
    said = str(caught.value)
    assert re.match(rf"check_source\(\) on (trio|asyncio): {law} is broken\.\n", said), said
    assert text in said
    assert LAWS[law].__doc__.splitlines()[0] in said
    with pytest.raises(AssertionError, match=law):
        check_source(source, payload="you", timeout=5, only=law)
    return said


def test_a_good_one():
    check_source(Good, configuration={"word": "hello"}, payload="you")
    check_source(lambda _: Good({}))


def test_the_port_as_a_user_writes_it():
    """In a module of its own, which reads its annotations when it is run."""
    program = """
from plait.abc import JSON, Source, SourceContext, SourceResult

class Mine:
    async def call(self, payload: JSON, context: SourceContext) -> SourceResult | JSON:
        return payload
    async def aclose(self) -> None: ...

def open(configuration: dict[str, JSON]) -> Source: return Mine()
"""
    exec(compile(program, "mine.py", "exec", dont_inherit=True), {"__name__": "mine"})


def test_one_with_options():
    @attrs.frozen
    class Settings:
        word: str

    class WithOptions(Good):
        Options = Settings

        def __init__(self, settings):
            super().__init__({"word": settings.word})

    check_source(WithOptions, configuration={"word": "x"})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x", "data is not JSON: bytes"),
        ({"a": [1, (2,)]}, "data['a'][1] is not JSON: tuple"),
        ({1: 2}, "data has the key 1"),
        (SourceResult({"x": {1, 2}}), "data['x'] is not JSON: set"),
    ],
)
def test_what_is_not_json(data, text):
    class Wrong(Good):
        async def call(self, payload, context):
            await current().checkpoint()
            return data

    breaks(Wrong, "gives_json", text)


def test_a_failure():
    class Failing(Good):
        async def call(self, payload, context):
            await current().checkpoint()
            return SourceResult(ok=False, message="no such word")

    breaks(Failing, "gives_json", "The call failed: no such word")


def test_an_exception():
    class Raising(Good):
        async def work(self, payload):
            raise ValueError("oh")

    breaks(Raising, "gives_json", "It raised ValueError: oh")


def test_no_checkpoint():
    class Rushing(Good):
        async def call(self, payload, context):
            return 1

    breaks(Rushing, "is_a_checkpoint", "call() was not cancelled.")

    class Closing(Good):
        async def aclose(self):
            pass

    breaks(Closing, "is_a_checkpoint", "aclose() was not cancelled.")


def test_calls_that_disturb_each_other():
    class Alone(Good):
        busy = False

        async def work(self, payload):
            if self.busy:
                raise RuntimeError("one at a time")
            self.busy = True
            try:
                await current().checkpoint()
            finally:
                self.busy = False

    breaks(Alone, "calls_do_not_disturb_each_other", "one at a time")


def test_a_cancellation_that_becomes_something_else():
    class Other(Good):
        async def work(self, payload):
            native = current()
            try:
                await native.checkpoint()
            except native.cancelled as error:
                raise ValueError("cancelled") from error

    breaks(Other, "can_be_cancelled_anywhere", "it raised ValueError: cancelled")


def test_a_source_that_is_of_no_use_after_a_cancellation():
    class Poisoned(Good):
        broken = False

        async def work(self, payload):
            if self.broken:
                raise RuntimeError("poisoned")
            self.broken = True
            await current().checkpoint()
            self.broken = False

    # Two calls at once see it as well, so this law is asked by itself.
    with pytest.raises(AssertionError, match="can_be_cancelled_anywhere"):
        check_source(Poisoned, only="can_be_cancelled_anywhere")


def test_a_clean_up_that_is_cut_short():
    class Hasty(Good):
        async def work(self, payload):
            try:
                await current().checkpoint()
            finally:
                await current().checkpoint()
                self.done = True

    breaks(Hasty, "can_be_cancelled_anywhere", "a clean-up was cut short", backend="trio")


def test_a_second_close_that_fails():
    class Once(Good):
        closed = False

        async def aclose(self):
            await current().checkpoint()
            if self.closed:
                raise RuntimeError("closed already")
            self.closed = True

    with pytest.raises(AssertionError, match="closes_twice is broken"):
        check_source(Once, only="closes_twice")


def test_a_close_that_fails_when_cancelled():
    class Fragile(Good):
        async def aclose(self):
            native = current()
            try:
                await native.checkpoint()
            except native.cancelled as error:
                raise RuntimeError("not now") from error

    with pytest.raises(AssertionError, match="closes_when_cancelled is broken"):
        check_source(Fragile, only="closes_when_cancelled")


def test_a_task_that_goes_on():
    class Leaking(Good):
        async def call(self, payload, context):
            import trio

            trio.lowlevel.spawn_system_task(trio.sleep_forever)
            await current().checkpoint()
            return 1

    with pytest.raises(AssertionError, match="leaves_nothing is broken"):
        check_source(Leaking, only="leaves_nothing", backend="trio")


def test_a_call_that_does_not_end():
    class Slow(Good):
        async def work(self, payload):
            await anyio.sleep(3600)

    with pytest.raises(AssertionError, match=r"A call did not end within 0\.1 s"):
        check_source(Slow, timeout=0.1)


def test_arguments():
    with pytest.raises(TypeError, match="a function that makes a source"):
        check_source(5)
    with pytest.raises(TypeError, match="no async method 'call'"):
        check_source(lambda _: object())
    for wrong in ({"backend": "x"}, {"cancellations": 0}, {"timeout": 0}, {"only": "x"}):
        with pytest.raises(ValueError):
            check_source(Good, **wrong)


async def test_in_a_loop():
    with pytest.raises(RuntimeError, match="an event loop is running"):
        check_source(Good)
