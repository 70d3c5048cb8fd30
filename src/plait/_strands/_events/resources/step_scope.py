"""The scope of an attempt: which instance it is given, and how that is made.

Rule 1: there is one instance for each scope and factory. Whoever asks while it is being made waits
    for whoever makes it. If that one fails or is cancelled, the next one makes it: only what was
    made is kept.
Rule 2: what a factory needs is in its signature, so a cycle is found before anything is made, and
    waits follow the arrows of a graph without cycles: no deadlock, no false cycle.
Rule 3: nothing outlives what it was made from. What has no scope of its own lasts no longer than
    that; a declared scope that is too long is an error.
Rule 4: whether a factory's value is a context manager, and how long it may last, may be known only
    when it has been made once. Until then one asker at a time makes it, in all runs together.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Self

from plait._engine import native
from plait._errors import WorkflowRuntimeError, WorkflowValidationError
from plait._strands._events.context import Context

from .blocks import Blocks
from .config import ConfigFault, config_text
from .factory import call, is_manager, name_of
from .marker import Marker, Resource, Scope
from .recipe import MANAGED_BY_WORKFLOW, faults_of, recipe_of
from .run_scope import RunScope
from .workflow_scope import Made, Shelf, WorkflowScope


class StepScope:
    """The resources of one attempt; without a run, those that need none.

    `context` gives the attempt's own, if it is asked for.
    """

    def __init__(
        self,
        workflow: WorkflowScope,
        run: RunScope | None = None,
        context: Callable[[], Context[Any]] | None = None,
    ) -> None:
        self._workflow = workflow
        self._run = run
        self._context = context
        self._shelf = Shelf()
        self._blocks = Blocks()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> bool:
        return await self._blocks.leave(exc)  # noqa: ASYNC102 - shielded there

    async def get(self, marker: Marker, hint: object) -> Any:
        """Return what a parameter with this marker and type is given.

        Raises:
            WorkflowValidationError: The resource cannot work as it is written.
            ValueError: It needs itself.
            Exception: What the factory raises.
        """
        try:
            made = self._at_hand(marker, hint)
            if made is None:
                self._workflow.refuse_a_cycle(marker, hint)
                made = await self._made(marker, hint)
        except ConfigFault as fault:
            raise WorkflowValidationError(config_text([str(fault)])) from fault
        return made.value  # noqa: ASYNC910 - the body decides whether it suspends

    def _at(self, scope: Scope | None) -> Shelf:
        if scope is None or scope is Scope.WORKFLOW:
            return self._workflow.shelf
        return self._shelf if scope is Scope.STEP or self._run is None else self._run.shelf

    def _at_hand(self, wanted: Marker, hint: object) -> Made | None:
        made = self._workflow.given(wanted, hint)
        if made is not None or not isinstance(wanted, Resource):
            return made
        scope = self._workflow.scope_of(wanted)
        return None if scope is None else self._at(scope).made.get(wanted.factory)

    # ------------------------------------------------------------ making

    async def _made(self, wanted: Marker, hint: object) -> Made:
        """Rule 1."""
        while (made := self._at_hand(wanted, hint)) is None:
            assert isinstance(wanted, Resource), "a config is always at hand"
            scope, factory = self._workflow.scope_of(wanted), wanted.factory
            # It may turn out that somebody makes it for this very scope.
            others = () if scope is Scope.STEP else (self._at(Scope.RUN), self._workflow.shelf)
            busy = [shelf.making[factory] for shelf in others if factory in shelf.making]
            if busy:
                await busy[0].wait()
                continue
            making = self._at(scope).making
            done = making[factory] = native.current().event()
            try:
                await self._make(wanted, scope)
            finally:
                del making[factory]
                done.set()
        return made  # noqa: ASYNC910 - the factory decides

    async def _make(self, wanted: Resource, scope: Scope | None) -> None:
        """Make it and keep it. Rules 3 and 4."""
        recipe, name = recipe_of(wanted), name_of(wanted.factory)
        if faults := [*faults_of(wanted)]:
            raise WorkflowValidationError(*faults)
        if self._run is None and (recipe.managed or recipe.contexts):
            raise _lives_in_a_run(name)
        given: dict[str, Any] = {}
        longest = Made(None, Scope.RUN if recipe.contexts else Scope.WORKFLOW, "its Context")
        for parameter, marker, hint in recipe.needs:
            made = await self._made(marker, hint)
            given[parameter] = made.value
            longest = min(longest, made, key=lambda each: each.ends)
        if wanted.scope is not None and scope is not None and longest.ends < scope:
            raise WorkflowValidationError(
                f"Resource {name!r} cannot have scope {wanted.scope!r}: it would outlive "
                f"{longest.because_of}. Use scope={longest.ends.name.lower()!r}."
            )
        of_step = Scope.STEP in (scope, longest.ends)
        for parameter in recipe.contexts:
            assert self._run is not None
            assert self._context is not None
            given[parameter] = self._context() if of_step else self._run.context
        value = await call(wanted.factory, given)
        managed = is_manager(value)
        by_nature = min(Scope.RUN if managed else Scope.WORKFLOW, longest.ends)
        if scope is None:
            scope = by_nature
        if managed:
            value = await self._opened(name, value, scope)
        if managed or recipe.contexts:
            longest = Made(value, scope, f"resource {name!r}")
        self._workflow.natures[wanted.factory] = by_nature
        self._at(scope).made[wanted.factory] = Made(value, longest.ends, longest.because_of)

    async def _opened(self, name: str, manager: object, scope: Scope) -> object:
        if scope is Scope.WORKFLOW:
            raise WorkflowValidationError(MANAGED_BY_WORKFLOW)
        if self._run is None:
            raise _lives_in_a_run(name)
        if scope is Scope.RUN:
            return await self._run.keep(name, manager)
        return await self._blocks.enter(name, manager)


def _lives_in_a_run(name: str) -> WorkflowRuntimeError:
    return WorkflowRuntimeError(
        f"Resource {name!r} lives in a run. Ask for it in a step: Annotated[..., Resource({name})]"
    )
