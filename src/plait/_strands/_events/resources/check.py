"""Faults of resources that are known before anything is made."""

from __future__ import annotations

from collections.abc import Iterable

from .config import ConfigFault, config_text
from .factory import name_of
from .marker import Marker, Resource
from .recipe import faults_of
from .workflow_scope import WorkflowScope


def check(
    step: str,
    asked: Iterable[tuple[str, Marker, object]],
    workflow: WorkflowScope,
    *,
    configs: bool = True,
    resources: bool = False,
) -> list[str]:
    """Say what is wrong with the resources of one step. No factory is called.

    Args:
        step: Its name.
        asked: Its parameters: name, marker and type of each.
        workflow: Where they will be kept.
        configs: Read the files of its configs.
        resources: Report cycles too, which otherwise are errors of the step that asks.
    """
    faults: dict[str, None] = {}
    in_configs: list[str] = []
    for name, marker, hint in asked:
        where = f"In step {step!r}, parameter {name!r}"
        try:
            for each, its_hint, above in workflow.walk(marker, hint):
                if isinstance(each, Resource):
                    faults.update(dict.fromkeys(faults_of(each)))
                elif configs:
                    try:
                        workflow.given(each, its_hint)
                    except ConfigFault as fault:
                        way = f" ({' -> '.join(map(name_of, above))})" if above else ""
                        in_configs.append(f"{where}{way}: {fault}")
        except ValueError as cycle:
            if resources:
                faults[f"{where}: {cycle}"] = None
    if in_configs:
        faults[config_text(in_configs)] = None
    return [*faults]
