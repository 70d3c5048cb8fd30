"""What a page is of: what its runs are called, where they are kept, and what the engine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from plait._abc import Journal
from plait._strands._durable.app import App
from plait._strands._events.workflow import Workflow
from plait._strands._flows.flow import Flow

if TYPE_CHECKING:
    from plait._kernel.plan import Plan

Target: TypeAlias = Flow | Workflow[Any]


def name_of(target: Target) -> str:
    """What a journal calls it."""
    return target.name if isinstance(target, Flow) else target.workflow_name


def plan_of(target: Target) -> Plan:
    """What the engine runs of it."""
    return target.plan if isinstance(target, Flow) else target._compile()[1]


def journal_of(target: Target | App | None, journal: Journal | None) -> Journal | None:
    """Find where the runs of a target are kept."""
    if isinstance(target, App) or (journal is None and isinstance(target, Workflow)):
        return target.journal
    return journal
