"""The manager of a workflow object, and what is known before a run."""

from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import trio

import plait.testing
from plait import Resource, ResourceConfig
from plait._strands._events.resources.check import check
from plait._strands._events.resources.workflow_scope import WorkflowScope
from plait.errors import WorkflowRuntimeError, WorkflowValidationError
from plait.events import ResourceManager
from tests.strands.events.lending import a, b, c, counter, not_annotated, noted, one_step, run


def module_factory():
    raise AssertionError("it was replaced")


def test_a_factory_is_replaced_by_its_qualified_name():
    @asynccontextmanager
    async def conn(url: Annotated[str, Resource(module_factory)]):
        yield f"connection to {url}"

    async def main():
        manager = ResourceManager()
        flow = one_step(Resource(conn), Resource(module_factory))(resource_manager=manager)
        await manager.set("module_factory", "fake")
        assert await flow.run() == ["connection to fake", "fake"]
        await manager.set(f"{__name__}.module_factory", "other")
        assert await flow.run() == ["connection to other", "other"]
        lock = trio.Lock()
        await manager.set(conn.__qualname__, lock)
        assert await flow.run() == [lock, "other"]
        assert manager.get_all() == {
            "module_factory": "fake",
            f"{__name__}.module_factory": "other",
            conn.__qualname__: lock,
        }

    plait.testing.run(main)


def test_a_replaced_factory_closes_no_cycle():
    async def main():
        manager = ResourceManager()
        await manager.set("b", 1)
        flow = one_step(Resource(b), Resource(c, scope="step"))(resource_manager=manager)
        flow.validate(validate_resources=True)
        with pytest.raises(AssertionError):
            await flow.run()

    plait.testing.run(main)


def test_a_manager_gives_outside_a_run_what_needs_no_run():
    make, _ = counter()

    async def main():
        manager = ResourceManager()
        assert await manager.get(Resource(make)) == "made 1"
        flow = one_step(Resource(make))(resource_manager=manager)
        assert await flow.run() == ["made 1"]
        assert await manager.get(Annotated[str, Resource(make)]) == "made 1"
        assert await manager.get(Resource(make, cache=False)) == "made 2"
        assert await manager.get(Resource(make, scope="run")) == "made 3"
        assert manager.get_all() == {make.__qualname__: "made 1"}
        text = r"^Resource 'it' lives in a run\. Ask for it in a step: Annotated\[..., Resource\(it"
        with pytest.raises(WorkflowRuntimeError, match=text):
            await manager.get(Resource(noted("it", [])))
        with pytest.raises(WorkflowRuntimeError, match="lives in a run"):
            await manager.get(Resource(not_annotated))
        with pytest.raises(
            TypeError, match=r"^get\(\) takes a Resource or a ResourceConfig, not 3"
        ):
            await manager.get(3)

    plait.testing.run(main)


def test_workflows_share_what_a_common_manager_made():
    make, calls = counter()

    async def main():
        manager = ResourceManager()
        for _ in range(2):
            assert await one_step(Resource(make))(resource_manager=manager).run() == ["made 1"]

    plait.testing.run(main)
    assert len(calls) == 1


# ---------------------------------------------------------------- before a run


def test_all_faults_are_found_without_calling_a_factory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text("{}")

    def inner(conf: Annotated[dict, ResourceConfig("y.json")]):
        raise AssertionError

    def outer(it: Annotated[Any, Resource(inner)], stray, foo: "Foo", bar: "Foo" = 1):  # noqa: F821
        raise AssertionError

    asked = [
        ("p", Resource(outer), Any),
        ("q", ResourceConfig("z.json"), dict),
        ("r", ResourceConfig("x.json"), dict),
        ("s", Resource(a), int),
    ]
    stray, foo, configs = check("s", asked, WorkflowScope())
    assert stray == (
        "Resource 'outer' has a parameter 'stray' that is neither a Context nor a resource, "
        "and has no default."
    )
    assert foo == "Resource 'outer': cannot resolve the annotation 'Foo' of parameter 'foo'."
    assert configs.splitlines() == [
        "Resource config validation failed:",
        "  - In step 's', parameter 'p' (outer -> inner): No such file: y.json",
        "  - In step 's', parameter 'q': No such file: z.json",
    ]
    assert check("s", asked, WorkflowScope(), configs=False, resources=True)[2:] == [
        "In step 's', parameter 's': Circular resource dependency detected: a -> b -> a"
    ]


def test_a_factory_that_cannot_be_called_is_an_error_without_validation_too():
    def make(stray):
        raise AssertionError

    with pytest.raises(WorkflowValidationError, match="parameter 'stray' that is neither"):
        run(one_step(Resource(make)), disable_validation=True)


def test_a_name_may_be_defined_after_its_marker():
    def make(it: "Annotated[int, Later]"):  # noqa: F821
        return it

    flow = one_step(Resource(make))
    with pytest.raises(WorkflowValidationError, match="cannot resolve the annotation"):
        flow().run()
    globals()["Later"] = Resource(lambda: 3)
    try:
        assert run(flow)[0] == [[3]]
    finally:
        del globals()["Later"]
