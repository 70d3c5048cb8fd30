"""What a run of this process asks of people: its open waits, and the answers that its steps take.

Two ways lead here. A body that is in `ctx.wait_for_event` has an open wait, which says what it wants. And a
step may return an `InputRequiredEvent`, while another one takes a `HumanResponseEvent`: then nobody waits,
and an answer begins a delivery.

Looked for when a window looks, and at no other time: so a run that nobody watches pays nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from plait._engine.run import Run
from plait._engine.shell import Shell
from plait._event import Event, HumanResponseEvent
from plait._ids import OUTSIDE
from plait._kernel.life import Phase
from plait._kernel.waits import Wait

from .forms import Form, form_of
from .payloads import HIDDEN, kind_of, plain, sounds_secret
from .refused import Refused

if TYPE_CHECKING:
    from .asked import Asked

#: Questions that are shown.
MOST: Final = 50
#: Fields of a question that say what is asked, the first that is there.
SAYING: Final = ("prefix", "question", "prompt", "message", "text")

Fields = Mapping[str, Any]


@attrs.frozen
class Question:
    """What can be answered now.

    Attributes:
        id: Its name among those of the run.
        step: The step that asks or that takes the answer.
        kinds: The classes of which the answer may be.
        event: What was asked with, if it was asked with anything.
        wait: The wait that it is of; `None`: a step takes the answer.
        shell: The run that asks: this one, or one inside it.
        behind: Must another one be answered first, which wants the same?
    """

    id: str
    step: str
    kinds: tuple[type[Event], ...]
    event: object = None
    wait: Wait | None = None
    shell: Shell | None = None
    behind: bool = False

    @property
    def fixed(self) -> Mapping[str, object]:
        """What the answer must have."""
        return {} if self.wait is None else self.wait.requirements


def open_questions(run: Run[Any], asked: Asked) -> list[Question]:
    """List what a run asks now: first what bodies wait for."""
    found: list[Question] = []
    for shell in _with_inner(run._shell):
        found += _of_waits(shell, asked, inner=shell is not run._shell)
    return [*found, *_of_steps(run._shell, asked)][:MOST]


def _with_inner(shell: Shell) -> Iterator[Shell]:
    yield shell
    if shell._kin is not None:
        for child in shell._kin._children:
            yield from _with_inner(child._shell)


def _of_waits(shell: Shell, asked: Asked, *, inner: bool) -> Iterator[Question]:
    if shell.state.phase is not Phase.GOING:
        return
    lines: list[tuple[type, Mapping[str, object]]] = []
    for key, wait in shell.state.waits.items():
        want = (wait.kind, wait.requirements)
        behind = not wait.broadcast and want in lines
        lines.append(want)
        event = asked.inside.get(shell.run_id) if inner else asked.of_waits.get(key)
        name = f"{shell.run_id}/{key[0]}-{key[1]}"
        yield Question(name, wait.step, (wait.kind,), event, wait, shell, behind)


def _of_steps(shell: Shell, asked: Asked) -> Iterator[Question]:
    state = shell.state
    if state.phase is not Phase.GOING:
        return
    takers = {
        kind: step.name
        for step in shell.plan.steps
        for kind in step.accepts
        if issubclass(kind, HumanResponseEvent)
    }
    if not takers:
        return
    step, kinds = ", ".join(dict.fromkeys(takers.values())), tuple(takers)
    for name, event in asked.of_steps.items():
        yield Question(name, step, kinds, event)
    if not asked.of_steps and state.idle and not state.waits:
        yield Question("open", step, kinds)


# ---------------------------------------------------------------- for windows


def told(question: Question) -> dict[str, Any]:
    """Write a question for windows, with the forms of its answers."""
    fixed = {
        name: HIDDEN if sounds_secret(name) else _text(value)
        for name, value in question.fixed.items()
    }
    fields: dict[str, Any] = {
        "id": question.id,
        "step": question.step,
        "fixed": fixed,
        "forms": [_without(form_of(kind), question.fixed) for kind in question.kinds],
    }
    if question.behind:
        fields["behind"] = True
    if question.event is not None:
        fields.update(_said(question.event))
    return fields


def _without(form: Form, fixed: Mapping[str, object]) -> Fields:
    return form.as_json([one for one in form.fields if one.name not in fixed])


def _said(event: object) -> Iterator[tuple[str, Any]]:
    shown = plain(event)
    yield "event", kind_of(event)
    if isinstance(shown, dict):
        fields = cast("dict[str, Any]", shown)
        name = next((one for one in SAYING if isinstance(fields.get(one), str)), None)
        if name is not None:
            yield "says", fields.pop(name)
        if not fields:
            return
    yield "payload", json.dumps(shown, ensure_ascii=False, indent=1)


def _text(value: object) -> str:
    return json.dumps(plain(value), ensure_ascii=False)


# ---------------------------------------------------------------- answering


def find(questions: Sequence[Question], name: str) -> Question:
    """Find an open question.

    Raises:
        Refused: It is open no more.
    """
    found = next((one for one in questions if one.id == name), None)
    if found is None:
        raise Refused("that question is not open any more: it was answered, or its time is over")
    return found


def kind_named(question: Question, name: str) -> type[Event]:
    """Find a class that a question may be answered with: no other is ever made.

    Raises:
        Refused: It is none of those.
    """
    for kind in question.kinds:
        if kind.__plait_name__ == name:
            return kind
    names = " or ".join(kind.__name__ for kind in question.kinds)
    raise Refused(f"this question is answered with {names}")


def check_reach(run: Run[Any], question: Question, event: Event) -> None:
    """See that an answer would get to who asks.

    Raises:
        Refused: It would not.
    """
    wait, shell = question.wait, question.shell
    if wait is None or shell is None:
        return
    if not wait.wants(event):
        raise Refused(f"step {wait.step!r} waits for another answer than that")
    kin = run._shell._kin
    taker = kin.taker_of(event) if kin is not None else None
    if (taker or run._shell) is not shell or wait.key not in shell.state.waits.answered_by(
        event, leaving=OUTSIDE
    ):
        raise Refused("another question, which is older, would get this answer: answer that first")
