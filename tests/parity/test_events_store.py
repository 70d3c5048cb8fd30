"""Row 89: `ctx.store.get` and `set`."""

import re

import pytest

from plait import Context, StartEvent, StopEvent, Workflow, step


class Flow(Workflow):
    @step
    async def s(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent()


@pytest.fixture
def store():
    return Context(Flow()).store


@pytest.mark.anyio
async def test_row_089_dotted_set_and_get(store):
    await store.set("k.a.b", 3)
    assert await store.get("k.a.b") == 3
    assert await store.get("k") == {"a": {"b": 3}}
    await store.set("k.a.c", 4)
    assert await store.get("k.a") == {"b": 3, "c": 4}


@pytest.mark.anyio
async def test_row_089_paths_walk_lists_and_attributes(store):
    class Thing:
        name = "x"

    await store.set("tags", ["a", {"b": [Thing()]}])
    assert await store.get("tags.0") == "a"
    assert await store.get("tags.1.b.0.name") == "x"
    await store.set("tags.0", "z")
    await store.set("tags.1.b.0.name", "y")
    assert await store.get("tags.0") == "z"
    assert await store.get("tags.1.b.0.name") == "y"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["x", "k.x", "k.x.y", "tags.5", "tags.one", "tags.²", "n.real.no"])
async def test_row_089_a_missing_value_is_an_error_or_the_default(store, path):
    await store.set("k", {"a": 1})
    await store.set("tags", ["a"])
    await store.set("n", 1)
    with pytest.raises(ValueError, match=f"^{re.escape(f'Path {path!r} not found in state')}$"):
        await store.get(path)
    assert await store.get(path, default=7) == 7
    assert await store.get(path, None) is None


@pytest.mark.anyio
async def test_row_089_what_is_no_path_is_refused(store):
    long = ".".join("a" * 1001)
    for path, text in (
        ("", "Path cannot be empty"),
        (long, "Path length exceeds 1000 segments"),
    ):
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.get(path)
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.get(path, default=1)
        with pytest.raises(ValueError, match=f"^{text}$"):
            await store.set(path, 1)
    await store.set(long[2:], 1)
    assert await store.get(long[2:]) == 1


@pytest.mark.anyio
async def test_row_089_a_place_that_takes_no_value_is_an_error(store):
    await store.set("n", 1)
    await store.set("t", (1, 2))
    await store.set("tags", ["a"])
    for path in ("n.real", "t.0", "tags.5", "tags.one"):
        with pytest.raises(ValueError, match=f"Path '{path}' cannot be set"):
            await store.set(path, 3)
    assert await store.get("t") == (1, 2)
    assert await store.get("tags") == ["a"]


@pytest.mark.anyio
async def test_row_089_names_of_methods_are_names_like_others(store):
    for name in ("get", "keys", "items", "pop", "__class__x"):
        await store.set(name, 1)
        await store.set(f"k.{name}", 2)
        assert await store.get(name) == 1
        assert await store.get(f"k.{name}") == 2
