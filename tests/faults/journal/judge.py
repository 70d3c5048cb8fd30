"""What must be true of a run when all is over: of its witness and its journal, read beside each other.

The journal's entries are read as the JSON that they are, and not by the code that is judged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs

from plait.abc import Entry

from .disk import DEATHS
from .lives import RUN, Story
from .witness import Note

#: After these a delivery has ended.
ENDS = {"delivery.completed", "delivery.failed", "delivery.recovered"}
#: After these none begins, but for a drain.
DECISIONS = {"run.decided", "run.closed"}


#: Seconds that are lost when a time is computed.
EXACTLY = 1e-6
#: Seconds between two entries of a program with a timeout, at most.
UNKEPT = 1.0


@attrs.frozen
class Line:
    """One entry, as far as the judge reads it."""

    n: int
    kind: str
    delivery: int | None
    body: Mapping[str, Any]


def lines(entries: Sequence[Entry]) -> list[Line]:
    """Read entries."""
    return [_line(entry.n, entry.kind, entry.body) for entry in entries]


def _line(n: int, kind: str, text: bytes) -> Line:
    body = json.loads(text)
    return Line(n, kind, body.get("delivery"), body)


def faults(story: Story) -> list[str]:
    """List what is wrong."""
    book = {name: lines(entries) for name, entries in story.disk.streams.items()}
    return [
        *_of_the_end(story),
        *_of_the_journal(story),
        *faults_of_bodies(story.notes, book, drains=story.case.finishes),
        *_of_retries(story, book),
        *_of_waits(story, book),
        *_of_streams(story),
        *_of_the_drain(story),
        *_of_clean_up(story),
        *_of_the_timeout(story),
    ]


def _of_the_end(story: Story) -> Iterator[str]:
    """It comes to what it must come to, and does nothing when it is asked once more."""
    for life in story.lives:
        if life.raised is not None:
            yield f"life {life.number} raised {life.raised!r}"
    last, again = story.lives[-2:]
    if not last.ended:
        yield "it has not come to its end"
        return
    if not story.case.right(last.came_to):
        yield f"it came to {last.came_to!r}"
    if repr(again.came_to) != repr(last.came_to) or not again.ended:
        yield f"it came to {last.came_to!r}, and later to {again.came_to!r}"
    if again.appends:
        yield "a run that has ended appends"
    if any(note.life == again.number for note in story.notes):
        yield "a run that has ended runs a body"


def _of_the_journal(story: Story) -> Iterator[str]:
    for stream, entries in story.disk.streams.items():
        if [entry.n for entry in entries] != [*range(1, len(entries) + 1)]:
            yield f"{stream} has gaps"
        status = story.disk.status(stream)
        if stream == RUN and story.lives[-2].ended:
            failed = isinstance(story.lives[-2].came_to, Exception)
            if status != ("failed" if failed else "completed"):
                yield f"{stream} is {status}"


def faults_of_bodies(
    notes: Sequence[Note],
    book: Mapping[str, Sequence[Line]],
    *,
    late: Collection[str] = (),
    drains: bool = False,
) -> Iterator[str]:
    """Compare what bodies did with what is on record.

    Args:
        notes: The witness's.
        book: What each stream has in the end.
        late: Steps whose bodies a thread begins, which may come to that when the run has been decided.
        drains: May every body?
    """
    keys: dict[tuple[str, str], str] = {}
    begun = Counter[tuple[int, str, int]]()
    ended = {(note.key, note.life) for note in notes if note.what == "end"}
    for note in notes:
        if note.what != "begin":
            continue
        place = f"{note.key}, attempt {note.attempt}, in life {note.life}"
        known = book.get(note.stream, ())[: note.kept]
        mine = [line for line in known if line.delivery == note.delivery]
        if not any(_makes(line, note.delivery) for line in known):
            yield f"{place}: began before what it is for was on disk"
        if any(line.kind in DECISIONS for line in known) and not (drains or note.step in late):
            yield f"{place}: began after the decision"
        if any(line.kind in ENDS for line in mine):
            yield f"{place}: ran again, though it had been completed"
        if (failed := sum(line.kind == "delivery.retrying" for line in mine)) != note.attempt:
            yield f"{place}: {failed} failures are on record"
        begun[note.life, note.key, note.attempt] += 1
        if begun[note.life, note.key, note.attempt] > 1:
            yield f"{place}: ran twice in one life"
        known_as = keys.setdefault((note.step, note.item), note.key)
        if note.item and known_as != note.key:
            yield f"{place}: {note.item} had been given to {known_as}: it is doubled"
    for stream, written in book.items():
        watched = {note.step for note in notes if note.stream == stream}
        names = {
            line.delivery: line.body["step"] for line in written if line.kind == "delivery.started"
        }
        for line in written:
            step = names.get(line.delivery)
            if line.kind == "delivery.completed" and step in watched:
                key = f"{stream}:{step}:{line.delivery}"
                if not any(found == key for found, _ in ended):
                    yield f"{key} is completed, and its body never came to its end"


def _makes(line: Line, delivery: int) -> bool:
    """Is this delivery one of those that an entry makes?"""
    first, to = line.body.get("first"), line.body.get("to")
    if first is None:
        return False
    return first <= delivery < first + (len(to) if isinstance(to, list) else 1)


def _of_retries(story: Story, book: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """A retry's clock goes on while nobody is there."""
    if not story.case.prompt or story.slow:
        return
    for note in story.notes:
        if note.what != "begin" or not note.attempt:
            continue
        dues = [
            line.body["due"]
            for line in book[note.stream]
            if line.kind == "delivery.retrying" and line.delivery == note.delivery
        ]
        due = dues[note.attempt - 1] if len(dues) >= note.attempt else -1
        began = story.lives[note.life].began
        resumed = any(
            other.life == note.life - 1 and (other.key, other.attempt) == (note.key, note.attempt)
            for other in story.notes
        )
        if note.at < due - EXACTLY:
            yield f"{note.key}: a retry at {note.at}, due at {due}"
        elif not resumed and note.at > max(due, began) + EXACTLY:
            yield f"{note.key}: a retry at {note.at}, due at {due}, with somebody there from {began}"


def _of_waits(story: Story, book: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    """So does the clock of a wait."""
    for note in story.notes:
        if note.what != "in vain" or story.slow:
            continue
        mine = [line.body for line in book[note.stream] if _waiter(line) == note.delivery]
        due = mine[0]["at"] + float(note.item)
        ended = next(body["at"] for body in mine if body.get("called_away") is False)
        since = max(life.began for life in story.lives if life.began <= ended)
        if abs(ended - max(due, since)) > EXACTLY:
            yield f"{note.key} waited in vain until {ended}; {due} was due"


def _waiter(line: Line) -> int | None:
    """The delivery whose wait begins or ends."""
    if line.kind == "wait.begun":
        return line.body["wait"]["delivery"]
    return line.body["wait"][0] if line.kind == "wait.ended" else None


def _of_streams(story: Story) -> Iterator[str]:
    """Whoever reads the stream later is told all that was told before, in that order.

    But for questions: one that has no answer yet is asked again, and only the last time is kept.
    """
    last = story.lives[-1].streamed
    for life in story.lives[:-1]:
        # The last event of a life that was left says that it was, and is not kept.
        seen = [event for event in life.streamed if life.ended or not event.startswith("Workflow")]
        told, known = _without_questions(seen), _without_questions(last)
        if told != known[: len(told)]:
            yield f"life {life.number} was told {seen}, and the last {last}"
        for question in {*seen} - {*told}:
            if last.count(question) != 1:
                yield f"life {life.number} was asked {question}, and the last told {last}"
    for event in story.case.streams:
        times = sum(event in told for told in last)
        if not times:
            yield f"{event} is lost from the stream"
        elif times > 1:
            yield f"{event} is on the stream {times} times"


def _without_questions(events: Sequence[str]) -> list[str]:
    return [event for event in events if not event.startswith("Question")]


def _of_the_drain(story: Story) -> Iterator[str]:
    if not story.case.finishes:
        return
    begun = {note.key for note in story.notes if note.what == "begin"}
    ended = {note.key for note in story.notes if note.what == "end"}
    for key in sorted(begun - ended):
        yield f"{key} began, and was not let finish"


def _of_clean_up(story: Story) -> Iterator[str]:
    """A process that goes on after its run was suspended has left every body, and begun no other."""
    for life in story.lives:
        for stream, told in life.told.items():
            for note in story.notes[told:]:
                if (note.life, note.stream, note.what) == (life.number, stream, "begin"):
                    yield f"{note.key} began in life {life.number}, after the journal's error"
        if life.plot.how in DEATHS:
            continue
        inside = Counter[str]()
        for note in story.notes:
            if note.life == life.number:
                inside[note.key] += note.what == "begin"
                inside[note.key] -= note.what == "end" or note.what.startswith("left")
        for key in +inside:
            yield f"{key} was never left in life {life.number}"


def _of_the_timeout(story: Story) -> Iterator[str]:
    """The timeout counts the time of all lives; what came after the last entry of one is lost."""
    limit = story.case.options.get("timeout")
    if limit is None or story.slow:
        return
    ends = [life.ended_at for life in story.lives[:-1]]
    lived = sum(end - life.began for end, life in zip(ends, story.lives, strict=False))
    most = limit + UNKEPT * (len(ends) - 1)
    if not limit - EXACTLY <= lived <= most + EXACTLY:
        yield f"it was alive for {lived} seconds, with a timeout of {limit}"
