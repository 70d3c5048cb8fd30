"""The steps of a class: its own, and those of its bases. A subclass may replace or drop them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Generic

import attrs

from plait._annotations import UnresolvedAnnotation
from plait._errors import Fault, WorkflowValidationError

from .places import class_place, place
from .step import StepSpec, spec_of

#: Bases that nobody gives steps.
PLAIN: Final = (object, Generic)


def steps_of(cls: type) -> dict[str, StepSpec]:
    """All steps: those of the bases first, then in the order of definition."""
    steps: dict[str, StepSpec | None] = {}
    for base in reversed(cls.__mro__):  # asked for by each run
        own: dict[str, StepSpec | None] | None = base.__dict__.get("__plait_steps__")
        if own:
            steps.update(own)
        elif own is None and base not in PLAIN:  # a mixin
            found = {name: spec_of(value) for name, value in vars(base).items()}
            steps.update({name: spec for name, spec in found.items() if spec is not None})
    return {name: spec for name, spec in steps.items() if spec is not None}


def own_steps(cls: type, names: Mapping[str, Any], root: type) -> dict[str, StepSpec | None]:
    """The steps that a class declares itself; `None` drops an inherited one.

    Args:
        cls: The class, just made.
        names: The local names that the annotations of its steps may use.
        root: No step may have the name of an attribute of this base.

    Raises:
        WorkflowValidationError: A step that cannot be one, or an inherited one that is hidden.
    """
    inherited = steps_of(cls)
    own: dict[str, StepSpec | None] = {}
    for name, value in vars(cls).items():
        spec = spec_of(value)
        _refuse_step_inside(value)
        if spec is not None:
            if hasattr(root, name):
                raise spec.fault(
                    f"Step {name!r} has the name of a method of Workflow.",
                    "Give it another name",
                )
            if value is not spec.func:  # another decorator stands above
                spec = attrs.evolve(spec, func=value)
            with suppress(UnresolvedAnnotation):  # reported by `run()`, with all other faults
                spec.signature(names)
            own[name] = spec
        elif name in inherited and value is None:
            own[name] = None
        elif name in inherited:
            raise WorkflowValidationError(_overridden(cls, name, value))
    return own


def _refuse_step_inside(value: object) -> None:
    """Refuse `@property` and the like above `@step`: nothing would ever call that step."""
    kind = type(value)
    if kind not in (property, staticmethod, classmethod):
        return
    func: object = getattr(value, "fget" if kind is property else "__func__", None)
    if (spec := spec_of(func)) is not None:
        raise spec.fault(
            f"@step does not go with @{kind.__name__}.",
            "A step is a method with self, or a free function with @step(workflow=W)",
        )


def _overridden(cls: type, name: str, value: Any) -> Fault:
    """Make the fault of a step whose name a subclass gives to something else."""
    owner = next(base.__name__ for base in cls.__mro__[1:] if name in vars(base))
    said = f"{name!r} of {cls.__name__!r} overrides step {name!r} of {owner!r}"
    drop = f"{name} = None drops the step"
    if callable(value):
        text = f"Method {said} but has no @step decorator."
        return Fault(text, *place(value), name, f"Write @step above it; {drop}")
    hint = f"Give it another name; {drop}"
    return Fault(f"{said} and is no step.", *class_place(cls), name, hint)
