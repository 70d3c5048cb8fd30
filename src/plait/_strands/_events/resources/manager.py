"""`ResourceManager`: the resources of a workflow object, in the hands of whoever made it."""

from __future__ import annotations

import typing
from typing import Any, final

from plait._engine import native
from plait._naming import publish

from .factory import full_names
from .marker import Resource, ResourceConfig, find
from .step_scope import StepScope
from .workflow_scope import WorkflowScope


@final
class ResourceManager:
    """The resources of a workflow object, and what takes their place.

    Every `Workflow` has one of its own. Make one yourself to put something in a factory's place, as
    in a test, or to have several workflow objects share what they make in scope `"workflow"`.

    Example:
        ```python
        manager = ResourceManager()
        await manager.set("connect", FakeDatabase())
        result = await Flow(resource_manager=manager).run(table="users")
        ```
    """

    def __init__(self) -> None:
        self._scope = WorkflowScope()

    async def get(self, resource: Any) -> Any:
        """Return a resource, outside any run.

        A checkpoint. In scope `"workflow"` it is the one that the steps are given; in another
        scope it is a new one.

        Args:
            resource: `Resource(...)`, `ResourceConfig(...)`, or `Annotated[T, ...]` with one.

        Raises:
            TypeError: It is none of these.
            WorkflowRuntimeError: It lives in a run: it is a context manager, or needs a `Context`.
            Exception: What the factory raises.
        """
        await native.current().checkpoint()
        marker = resource if isinstance(resource, Resource | ResourceConfig) else find(resource)
        if marker is None:
            raise TypeError(f"get() takes a Resource or a ResourceConfig, not {resource!r}")
        hint = Any if marker is resource else typing.get_args(resource)[0]
        return await StepScope(self._scope).get(marker, hint)

    async def set(self, name: str, value: Any) -> None:
        """Put a value in the place of what a factory makes, in every scope, from now on.

        A checkpoint. It is given as it is: a context manager is neither entered nor left.

        Args:
            name: The qualified name of the factory, with or without its module.
            value: What to give instead.
        """
        await native.current().checkpoint()
        self._scope.replace(name, value)

    def get_all(self) -> dict[str, Any]:
        """Return what was set, and what was made in scope `"workflow"`, by qualified name."""
        made = {full_names(factory)[0]: it for factory, it in self._scope.shelf.made.items()}
        return {name: it.value for name, it in {**made, **self._scope.replaced}.items()}


publish("plait.events", ResourceManager)
