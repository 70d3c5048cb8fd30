"""Functions as the kernel's plan. (The thinnest version: see the owner's.)"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from plait._kernel.admission.plan import AppPlan, FunctionPlan, Trigger
from plait._kernel.admission.records import EventReceived

from .arrivals import Events
from .function import Function
from .triggers import TriggerEvent


def run_name(app_id: str, fn_id: str, number: int) -> str:
    return sha256(f"{app_id}\n{fn_id}\n{number}".encode()).hexdigest()[:32]


def plan_of(
    functions: Iterable[Function[Any, Any]],
    events: Events,  # noqa: ARG001
    *,
    app_id: str,
) -> AppPlan:
    def name_run(fn_id: str, event: EventReceived) -> str:
        return run_name(app_id, fn_id, event.number)

    plans: list[FunctionPlan] = []
    for function in functions:
        triggers = tuple(
            Trigger(one.name) for one in function.setup.trigger if isinstance(one, TriggerEvent)
        )
        plans.append(FunctionPlan(function.id, triggers))
        if function.setup.on_failure is not None:
            plans.append(FunctionPlan(f"{function.id}/on_failure"))
    return AppPlan(plans, name_run)
