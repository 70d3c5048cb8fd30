"""The grammar of flow files, as classes: what `check` works on, and what the JSON Schema is made from.

Each class has the `path` of where it was written. A field that may hold templates keeps the plain tree,
as it was read.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from .problems import Path

Policy: TypeAlias = Literal["fail", "skip", "continue"]
ParamType: TypeAlias = Literal["str", "int", "float", "bool", "list", "object"]
OutputFrom: TypeAlias = Literal["body", "status", "headers"]
Merge: TypeAlias = Literal["shallow", "deep"]


@attrs.frozen(eq=False, kw_only=True)
class Param:
    """A value that a run is given. Without a default it must be."""

    type: ParamType | None = None
    default: object = None
    choices: list[object] | None = None
    description: str | None = None
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Secret:
    """A value that is read when the run starts and shown nowhere: exactly one of the two is given."""

    env: str | None = None
    file: str | None = None
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class SourceDef:
    """A source: under `sources`, or written into a step."""

    type: str
    configuration: dict[str, object] = attrs.field(factory=dict[str, object])
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Override:
    """What a step replaces of a named source."""

    type: str | None = None
    configuration: dict[str, object] | None = None
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class SourceRef:
    """A named source with some of it replaced."""

    base: str
    override: Override = attrs.field(factory=Override)
    merge: Merge = "shallow"
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Out:
    """An output. Its name and type are checked later: both have a word for what is missing."""

    name: str | None = None
    type: str = "raw"
    value: str | None = None
    from_: OutputFrom = attrs.field(default="body", metadata={"key": "from"})
    default: object = None
    required: bool = False
    secret: bool = False
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Foreach:
    """One run of the step for each item: `items` is a list, a mapping or a template."""

    items: object
    as_: str = attrs.field(default="item", metadata={"key": "as"})
    max_parallel: int | None = None
    fail_fast: bool = True
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Matrix:
    """One run of the step for each combination; an axis is a list or a template."""

    axes: dict[str, object]
    include: list[dict[str, object]] = attrs.field(factory=list[dict[str, object]])
    exclude: list[dict[str, object]] = attrs.field(factory=list[dict[str, object]])
    max_parallel: int | None = None
    fail_fast: bool = True
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Retry:
    """How often a step is tried, and after which failures; waits are in seconds."""

    attempts: int = 3
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: float = 0.1
    on: tuple[str | int, ...] = ("5xx", 429, "timeout", "connect", "exit")
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Concurrency:
    """At most `limit` attempts of all steps of the group at once."""

    group: str
    limit: int = 1
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Runner:
    """What holds for the whole run; a timeout is in seconds."""

    on_error: Policy | None = None
    max_workers: int | None = None
    timeout: float | None = None
    fail_fast: bool = False
    allow_hosts: list[str] | None = None
    deny_private: bool = False
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Step:
    """A step. `source` is a name, or a source, or a named one with some of it replaced."""

    name: str
    source: str | SourceDef | SourceRef
    input: object = None
    output: list[Out] = attrs.field(factory=list[Out])
    depends_on: list[str] = attrs.field(factory=list[str])
    on_error: Policy | None = None
    when: bool | str | None = None
    foreach: Foreach | None = None
    matrix: Matrix | None = None
    retry: Retry | None = None
    timeout: float | None = None
    concurrency: Concurrency | None = None
    reuse: bool = True
    description: str | None = None
    path: Path = ()


@attrs.frozen(eq=False, kw_only=True)
class Document:
    """All of it, after merging."""

    name: str | None = None
    params: dict[str, Param] = attrs.field(factory=dict[str, Param])
    secrets: dict[str, Secret] = attrs.field(factory=dict[str, Secret])
    sources: dict[str, SourceDef] = attrs.field(factory=dict[str, SourceDef])
    flow: list[Step] = attrs.field(factory=list[Step])
    runner: Runner = attrs.field(factory=Runner)
    path: Path = ()
