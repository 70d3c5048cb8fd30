"""Resources: parameters keep the type that they are annotated with. Checked, never run."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, assert_type

import attrs

from plait import Context, Resource, ResourceConfig, StartEvent, StopEvent, Workflow, step
from plait.events import ResourceManager


@attrs.define
class Settings:
    url: str


class Database:
    async def count(self) -> int:
        return 0


def make(settings: Annotated[Settings, ResourceConfig("app.json")]) -> Database:
    assert_type(settings, Settings)
    return Database()


async def make_slowly(ctx: Context) -> Database:
    return Database()


@contextmanager
def opened() -> Generator[Database]:
    yield Database()


@asynccontextmanager
async def opened_slowly(
    database: Annotated[Database, Resource(make)],
) -> AsyncGenerator[Database]:
    assert_type(database, Database)
    yield database


class Flow(Workflow[int]):
    @step
    async def asks(
        self,
        ev: StartEvent,
        made: Annotated[Database, Resource(make)],
        waited_for: Annotated[Database, Resource(make_slowly, cache=False, scope="step")],
        entered: Annotated[Database, Resource(opened)],
        entered_slowly: Annotated[Database, Resource(opened_slowly, scope="run")],
        a_class: Annotated[Database, Resource(Database, cache=True, scope="workflow")],
        host: Annotated[str, ResourceConfig("app.json", "mail.host", label="host")],
    ) -> StopEvent:
        assert_type(made, Database)
        assert_type(waited_for, Database)
        assert_type(entered, Database)
        assert_type(entered_slowly, Database)
        assert_type(a_class, Database)
        assert_type(host, str)
        return StopEvent(result=await made.count())


# The markers.

resource = Resource(make, cache=False, scope=None)
assert_type(resource.cache, bool)
assert_type(resource.scope, Literal["run", "workflow", "step"] | None)
assert_type(resource.factory(), Any)
Resource()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Resource(Database())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Resource("make")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Resource(make, "run")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Resource(make, True, "run")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue] # noqa: FBT003
Resource(make, scope="flow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

config = ResourceConfig("app.json", "mail.host", "host", "where the mail goes")
assert_type(config.config_file, str)
assert_type(config.path_selector, str | None)
ResourceConfig()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ResourceConfig(Path("app.json"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ResourceConfig("app.json", selector="mail")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
config.label = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

# The manager.


async def manages(manager: ResourceManager) -> None:
    await manager.set("make", Database())
    assert_type(await manager.get(resource), Any)
    assert_type(await manager.get(Annotated[Database, Resource(make)]), Any)
    assert_type(manager.get_all(), dict[str, Any])
    assert_type(await Flow(resource_manager=manager).run(), int)
    await manager.set(make, Database())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await manager.set("make")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    manager.set("make", 1)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    ResourceManager({})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
