"""The env source, plugins, and the pool that keeps a run's sources."""

import threading

import attrs
import pytest

from plait._abc import SourceResult
from plait._engine.native import current
from plait._strands._flows.sources import env, plugins
from plait._strands._flows.sources.catalog import BUILT_IN, SourceRun, find, names
from plait._strands._flows.sources.plugins import Flowtoy, Port
from plait.testing import check_source
from tests.origin import Origin
from tests.strands.flows.sources_world import CONTEXT, Hidden, check, found, sources

pytestmark = pytest.mark.anyio


# ---------------------------------------------------------------- env


async def test_values_are_read_when_the_step_runs(monkeypatch):
    monkeypatch.delenv("FT_NOPE", raising=False)
    async with sources() as source:
        for value in ("alpha", "beta"):
            monkeypatch.setenv("FT_A", value)
            result = await source.call("env", {"vars": ["FT_A", "FT_NOPE"]})
            assert result.data == {"FT_A": value, "FT_NOPE": None}
        assert (await source.call("env", {})).data == {}


async def test_required_ones(monkeypatch):
    monkeypatch.delenv("FT_NOPE", raising=False)
    async with sources() as source:
        result = await source.call("env", {"vars": ["FT_NOPE"], "required": True})
    assert (result.ok, result.message) == (False, "environment variable 'FT_NOPE' is not set")


@pytest.mark.parametrize(
    ("secret", "hidden"),
    [(None, {"p", "t"}), (True, {"a", "p", "t"}), (False, set()), (["FT_A"], {"a"})],
)
async def test_secrets(monkeypatch, secret, hidden):
    for name, value in (("FT_A", "a"), ("MY_PASSWORD", "p"), ("github_token", "t")):
        monkeypatch.setenv(name, value)
    configuration = {"vars": ["FT_A", "MY_PASSWORD", "github_token"], "secret": secret}
    async with sources() as source:
        await source.call("env", configuration)
        assert {value for value, _ in source.hidden.values} == hidden
    assert env.secrets(configuration, {"FT_A": None, "MY_PASSWORD": ""}) == {}


async def test_a_rendered_option_of_the_wrong_kind_fails_the_step():
    async with sources() as source:
        result = await source.call("env", {"vars": ["A"], "required": "perhaps"})
    assert (result.ok, result.kind) == (False, "template")
    assert result.message == "required: expected true or false, got text 'perhaps'"


async def test_a_configuration_is_known_by_identity_only_while_it_is_the_same():
    async with sources() as source:
        pool, env_ = source.pool, find("env")
        same = {"vars": ["A"]}
        opened = pool.open(env_, same)
        assert pool.open(env_, same) is opened
        assert pool.open(env_, {"vars": ["A"]}) is opened
        for number in range(3000):  # made anew each time, as templates do
            assert pool.open(env_, {"vars": [f"V{number}"]}) is not opened
        assert pool.open(env_, same) is opened


def test_what_is_wrong_with_env():
    assert found("env", {}, "x") == ["an env source takes no input"]
    assert found("env", {"vars": ["A"]}) == []
    (text,) = found("env", {"vars": "A"})
    assert text == "configuration.vars: expected a list of text, got text 'A'"
    assert found("env", {"var": ["A"]}) == [
        "unknown key 'var' in configuration; did you mean 'vars'?"
    ]
    assert find("env").style(("configuration", "vars", 0)) == "text"
    assert not find("env").takes_options({"vars": []}, {})


# ---------------------------------------------------------------- pool


class Counted:
    """A source that says when it is opened, called and closed."""

    def __init__(self, configuration, log):
        self.name = configuration.get("name")
        self.log = log
        log.append(f"open {self.name}")

    async def call(self, payload, context):
        await current().checkpoint()
        if isinstance(payload, BaseException):
            raise payload
        return payload

    async def aclose(self):
        self.log.append(f"close {self.name}")
        await current().checkpoint()


async def test_one_source_for_each_configuration():
    log = []
    port = Port("counted", lambda configuration: Counted(configuration, log))
    async with sources() as source:
        for name in ("x", "y", "x"):
            result = await source.pool.call(port, {"name": name}, 5, CONTEXT)
            assert result == 5
        assert log == ["open x", "open y"]
        await source.pool.aclose()
        assert log[2:] == ["close y", "close x"]
    assert len(log) == 4  # twice is fine


async def test_whatever_a_source_raises_is_a_failure():
    port = Port("counted", lambda configuration: Counted(configuration, []))
    async with sources() as source:
        for error, text in ((ValueError("no"), "no"), (KeyError(), "KeyError")):
            result = await source.pool.call(port, {}, error, CONTEXT)
            assert (result.ok, result.kind, result.message) == (False, "source", text)


async def test_one_that_cannot_be_closed_keeps_no_other_from_it(caplog):
    log = []

    class Stuck(Counted):
        async def aclose(self):
            await current().checkpoint()
            raise OSError("stuck")

    async with sources() as source:
        good = Port("good", lambda configuration: Counted(configuration, log))
        bad = Port("bad", lambda configuration: Stuck(configuration, log))
        for port in (good, bad):
            await source.pool.call(port, {}, None, CONTEXT)
    assert log[-1] == "close None"
    assert "A source could not be closed" in caplog.text


async def test_sources_are_closed_also_when_the_run_is_cancelled():
    log = []
    port = Port("counted", lambda configuration: Counted(configuration, log))
    with current().cancel_scope() as scope:
        async with sources() as source:
            await source.pool.call(port, {}, None, CONTEXT)
            scope.cancel()
    assert log == ["open None", "close None"]
    assert scope.cancelled_caught


# ---------------------------------------------------------------- plugins


@attrs.frozen
class Settings:
    word: str
    times: int = 1
    names: list[str] = attrs.field(factory=list)


class WithOptions:
    Options = Settings

    def __init__(self, settings):
        assert isinstance(settings, Settings)
        self.settings = settings

    async def call(self, payload, context):
        await current().checkpoint()
        return [self.settings.word] * self.settings.times

    async def aclose(self):
        await current().checkpoint()


@pytest.fixture
def installed(monkeypatch):
    """Providers by name, as if they were installed."""
    known = {}
    monkeypatch.setattr(plugins, "find", known.get)
    monkeypatch.setattr(plugins, "names", lambda: [*known])
    return known


async def test_a_plugin_has_its_configuration_checked(installed):
    installed["said"] = Port("said", WithOptions)
    assert names() == ["env", "process", "rest", "said"]
    assert found("said", {"word": "x", "times": 2}) == []
    assert found("said", {"word": "{{ x }}", "times": "{{ y }}"}) == []
    assert found("said", {"wrod": "x"}) == [
        "configuration: 'word' is missing",
        "unknown key 'wrod' in configuration; did you mean 'word'?",
    ]
    (text,) = found("said", {"word": "x", "times": "2"})
    assert text == "configuration.times: expected int, got '2'"
    assert found("said", {"word": "x", "names": "abc"}) != []
    async with sources() as source:
        assert (await source.call("said", {"word": "x", "times": 2})).data == ["x", "x"]
        result = await source.call("said", {"word": "x", "times": "2"})
        assert (result.ok, result.kind) == (False, "template")
        assert "expected int" in result.message


def test_the_input_of_a_plugin_is_its_payload(installed):
    installed["said"] = Port("said", WithOptions)
    given = {"command": ["x"], "type": "value"}
    reading, problems = check("said", {"word": "x"}, given)
    assert (reading.input, reading.options) == (given, False)
    assert problems.errors == ()
    style = installed["said"].style
    assert style(("configuration", "x", "y")) == "text"
    assert style(("input",)) == "text"
    assert style(("input", "x")) == "native"


class Theirs:
    def __init__(self, configuration):
        self.configuration = configuration
        self.threads = []

    def call(self, given):
        self.threads.append(threading.current_thread())
        return given(self) if callable(given) else given


async def flowtoys(given, made=Theirs):
    async with sources() as source:
        return await source.pool.call(Flowtoy("old", made), {"k": 1}, given, CONTEXT)


async def test_a_flowtoy_provider_is_called_in_a_thread():
    me = threading.current_thread()
    result = await flowtoys(lambda provider: [me is one for one in provider.threads])
    assert result == SourceResult([False])


async def test_it_is_made_once():
    made = []

    def make(configuration):
        made.append(configuration)
        return Theirs(configuration)

    async with sources() as source:
        provider = Flowtoy("old", make)
        for _ in range(2):
            await source.pool.call(provider, {"k": 1}, 5, CONTEXT)
    assert made == [{"k": 1}]


async def test_an_awaitable_is_awaited():
    async def later():
        await current().checkpoint()
        return 7

    assert (await flowtoys(lambda _: later())).data == 7


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (
            {"status": {"success": True, "code": 0, "notes": []}, "data": 1, "meta": {}},
            SourceResult(1),
        ),
        ({"status": {"success": True}}, SourceResult(None)),
        (
            {"status": {"success": False, "code": 7, "notes": ["a", "b"]}, "data": None},
            SourceResult(ok=False, message="a; b", code=7),
        ),
        (
            {"status": {"success": False, "code": 7, "notes": []}},
            SourceResult(ok=False, message="provider reported failure (code=7)", code=7),
        ),
        (
            {"status": {"success": False}},
            SourceResult(ok=False, message="provider reported failure (code=None)"),
        ),
        ({"status": "ok", "data": 1}, SourceResult({"status": "ok", "data": 1})),
        ({"status": {"code": 1}}, SourceResult({"status": {"code": 1}})),
        ([1], SourceResult([1])),
        (None, SourceResult(None)),
    ],
)
async def test_envelopes(given, result):
    assert await flowtoys(given) == result


async def test_what_a_provider_raises():
    def fail(_):
        raise RuntimeError("broken")

    result = await flowtoys(fail)
    assert (result.ok, result.kind, result.message) == (False, "source", "broken")
    result = await flowtoys(None, made=fail)
    assert result.message == "broken"


async def test_a_cancelled_call_waits_for_its_thread():
    backend = current()
    begun, ends = threading.Event(), []

    def slow(_):
        backend_token(scope.cancel)
        begun.wait(0.2)
        ends.append(True)

    backend_token = backend.caller()
    with backend.cancel_scope() as scope:
        await flowtoys(slow)
    assert scope.cancelled_caught
    assert ends == [True]


def test_what_is_built_in():
    assert [*BUILT_IN] == ["env", "process", "rest"]


# ---------------------------------------------------------------- the law book, on plait's own


def opening(name):
    """A function that makes a source of plait's own, as an entry point would."""

    def make(configuration):
        run = SourceRun(backend=current(), run_id="run-1", redactor=Hidden())
        return find(name).open(configuration, run=run, folders={})

    return make


def test_the_laws_of_env():
    check_source(opening("env"), configuration={"vars": ["HOME"]})


def test_the_laws_of_process():
    check_source(
        opening("process"), configuration={"command": ["cat"], "pass_to": "stdin"}, payload="x"
    )


def test_the_laws_of_rest():
    with Origin() as origin:

        def make(configuration):
            source = opening("rest")(configuration)
            return Closing(source)

        configuration = {"url": f"{origin.url}/redirect?to=/echo", "input_mode": "parameter"}
        check_source(make, configuration=configuration, payload="x", cancellations=20)


class Closing:
    """A rest source, which closes what the run would close."""

    def __init__(self, source):
        self.source = source

    async def call(self, payload, context):
        return await self.source.call(payload, context)

    async def aclose(self):
        await self.source._run.aclose()
        await self.source.aclose()


def test_the_laws_of_flowtoys():
    def make(configuration):
        run = SourceRun(backend=current(), run_id="run-1", redactor=Hidden())
        return Flowtoy("old", Theirs).open(configuration, run=run, folders={})

    check_source(make, payload=[1])
