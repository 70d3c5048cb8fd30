"""What the checks make of flow files: everything that is needed to run them, and nothing is left to find."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .grammar import Document, Step
from .marks import Marked
from .outputs import Output
from .problems import Place, Problem
from .sources.catalog import Provider
from .templates import Expression, Tree


@attrs.frozen(eq=False)
class Need:
    """One reason why a step waits for another.

    Attributes:
        step: For which one.
        because: Why: `"depends_on"`, or `"flows.authenticate.token in input.headers.Authorization"`.
        place: Where it says so.
    """

    step: str
    because: str
    place: Place


@attrs.frozen(eq=False, kw_only=True)
class CheckedSource:
    """A source that the document names.

    Attributes:
        name: Its name.
        provider: What its type stands for; `None` if no step uses it and its plugin was not loaded.
        definition: It, as it was read: what `sources.NAME` is in templates.
        configuration: Its configuration, compiled; of an env source what `sources.NAME` is made of.
    """

    name: str
    provider: Provider | None
    definition: Mapping[str, object]
    configuration: Tree


@attrs.frozen(eq=False, kw_only=True)
class CheckedStep:
    """A step, ready to be compiled into the plan.

    Attributes:
        number: From 0, in the order of the file.
        name: Its name.
        place: Where its mapping starts.
        spec: As it was written.
        provider: What its source's type stands for.
        configuration: The effective one, compiled.
        folders: Of a relative path in the configuration: where it starts, by the key.
        input: Compiled; `None`: no payload.
        input_folders: As `folders`.
        options: Whether `input` is options laid over the configuration; if not, it is the payload.
        payload_names: Whether templates in the configuration may use the payload.
        when: Whether it runs.
        items: Of a `foreach`.
        axes: Of a `matrix`, by name.
        outputs: What is taken from its data.
        needs: Every reason to wait, `depends_on` first.
        after: Which steps it waits for, each once, in the order of the file.
    """

    number: int
    name: str
    place: Place
    spec: Step
    provider: Provider
    configuration: Tree
    folders: Mapping[str, str]
    input: Tree | None
    input_folders: Mapping[str, str]
    options: bool
    payload_names: bool
    when: bool | Expression | None
    items: Tree | None
    axes: Mapping[str, Tree] | None
    outputs: tuple[Output, ...]
    needs: tuple[Need, ...]
    after: tuple[str, ...]


@attrs.frozen(eq=False, kw_only=True)
class CheckedFlow:
    """Flow files without a problem.

    Attributes:
        name: What to call it: `"2-mixed.yaml"`.
        files: The files as they were given; of a mapping `""`.
        document: All that was written.
        marked: The plain document, with the place of each value and the folder of its file.
        steps: By name, in the order of the file.
        sources: By name.
        workers: How many steps run at once.
        warnings: What is odd, in the order of the files.
        waves: The steps by how many others they wait for in a row.
        compat: Whether the rules of flowtoy hold.
    """

    name: str
    files: tuple[str, ...]
    document: Document
    marked: Marked
    steps: Mapping[str, CheckedStep]
    sources: Mapping[str, CheckedSource]
    workers: int
    warnings: tuple[Problem, ...]
    waves: tuple[tuple[str, ...], ...]
    compat: bool = False
