"""Who takes part: the name on the command line, the name in the table, the event loop, the versions to report."""

from typing import Final, Literal

import attrs

Loop = Literal["trio", "asyncio"]
Family = Literal["plait", "floor", "peer"]


@attrs.frozen
class Contender:
    """One row of every table."""

    key: str
    title: str
    family: Family
    loop: Loop
    #: Distributions whose versions belong in the report; the first is the one to install.
    distributions: tuple[str, ...]


#: In the order of the tables.
CONTENDERS: Final = {
    contender.key: contender
    for contender in (
        Contender("plait", "plait (Trio)", "plait", "trio", ("plait", "trio")),
        Contender("plait_list", "plait (Trio), `[E] * n`", "plait", "trio", ("plait", "trio")),
        Contender("plait_page", "plait (Trio), a page", "plait", "trio", ("plait", "trio")),
        Contender("plait_window", "plait (Trio), a window", "plait", "trio", ("plait", "trio")),
        Contender("plait_asyncio", "plait (asyncio)", "plait", "asyncio", ("plait", "anyio")),
        Contender(
            "plait_asyncio_page", "plait (asyncio), a page", "plait", "asyncio", ("plait", "anyio")
        ),
        Contender(
            "plait_asyncio_window",
            "plait (asyncio), a window",
            "plait",
            "asyncio",
            ("plait", "anyio"),
        ),
        Contender("floor_a", "floor a", "floor", "trio", ("trio", "attrs")),
        Contender("floor_b", "floor b", "floor", "trio", ("trio", "attrs")),
        Contender("floor_b_drain", "floor b, draining", "floor", "trio", ("trio", "attrs")),
        Contender("floor_c", "floor c", "floor", "trio", ("trio", "attrs")),
        Contender("floor_commit", "floor, a commit a step", "floor", "asyncio", ("plait",)),
        Contender("floor_group", "floor, commits together", "floor", "asyncio", ("plait",)),
        Contender("floor_json", "floor, attrs and json", "floor", "asyncio", ("attrs",)),
        Contender(
            "llamaindex", "LlamaIndex Workflows", "peer", "asyncio", ("llama-index-workflows",)
        ),
        Contender("langgraph", "langgraph", "peer", "asyncio", ("langgraph",)),
        Contender("pydantic_graph", "pydantic-graph", "peer", "asyncio", ("pydantic-graph",)),
        Contender("burr", "burr", "peer", "asyncio", ("apache-burr",)),
        Contender("dbos", "DBOS on SQLite", "peer", "asyncio", ("dbos",)),
        Contender("flowtoy", "flowtoy", "peer", "asyncio", ("flowtoy",)),
        Contender("taskiq", "taskiq in-memory", "peer", "asyncio", ("taskiq",)),
    )
}


def select(words: list[str]) -> list[Contender]:
    """The contenders that `words` name: a key, or the first part of one (`plait`, `floor`), or `peers`.

    Raises:
        ValueError: A word names nobody.
    """
    chosen: set[str] = set()
    for word in words:
        keys = {
            key
            for key, contender in CONTENDERS.items()
            if key == word or key.startswith(f"{word}_") or f"{contender.family}s" == word
        }
        if not keys:
            raise ValueError(f"No contender is called {word!r}. There are: {', '.join(CONTENDERS)}")
        chosen |= keys
    return [contender for key, contender in CONTENDERS.items() if key in chosen]
