"""The law about everything at once: what a journal does is what a very small one would do.

Hypothesis draws what is done to it. What is appended and not yet answered may be read or not; all
else is known.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import anyio.lowlevel
import attrs

from plait._abc import Entry, Opening, Status, StreamInfo
from plait._errors import MissingExtra, StreamConflictError

from ._journal_bench import Bench, Broken, Hand, Late, broken_by, same, same_infos

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: So that they meet: few names, few keys, and few kinds.
NAMES: Final = ("a", "b", "app/shop")
KEYS: Final = (None, "k", "l")
KINDS: Final = ("step.started", "step.completed", "step.failed")
STATUSES: Final[tuple[Status, ...]] = (
    "queued", "running", "completed", "failed", "cancelled", "held",
)  # fmt: skip
#: How much is done to a journal, at least.
LENGTH: Final = 30
#: Runs that are spent on making a sequence simpler.
MOST_TRIES: Final = 200


@attrs.frozen
class Drawn:
    """An entry to be; `off` is how far it is beside its place."""

    stream: str
    off: int
    kind: str
    key: str | None
    body: bytes
    at: int
    status: Status | None


@attrs.frozen
class Append:
    entries: tuple[Drawn, ...]


@attrs.frozen
class Read:
    stream: str
    after: int
    limit: int


@attrs.frozen
class Streams:
    app_id: str | None
    status: tuple[str, ...]
    after: str
    limit: int


@attrs.frozen
class Prune:
    ended_before: int


@attrs.frozen
class Do:
    """`wait` until all is answered, `flush`, take a `turn` of the loop, or `reopen`."""

    what: Literal["wait", "flush", "turn", "reopen"]


Op: TypeAlias = Append | Read | Streams | Prune | Do


@attrs.define
class Model:
    """What a journal must have in it: a list of entries a stream. Nothing is fast, and nothing is twice."""

    kept: dict[str, list[Entry]] = attrs.field(factory=dict[str, list[Entry]])

    def next(self, stream: str) -> int:
        return 1 + len(self.kept.get(stream, ()))

    def append(self, entries: Sequence[Entry]) -> bool:
        """Keep them and say so, or leave all as it was."""
        after = {name: [*kept] for name, kept in self.kept.items()}
        for one in entries:
            kept = after.setdefault(one.stream, [])
            ends = [e.key for e in kept if e.kind in KINDS[1:] and e.key is not None]
            if one.n != len(kept) + 1 or (one.kind in KINDS[1:] and one.key in ends):
                return False
            kept.append(one)
        self.kept = after
        return True

    def streams(self, asked: Streams) -> list[StreamInfo]:
        infos = [_info(kept) for _, kept in sorted(self.kept.items())]
        return [
            info
            for info in infos
            if info.stream > asked.after
            and asked.app_id in {None, info.app_id}
            and (not asked.status or info.status in asked.status)
        ][: asked.limit]

    def prune(self, ended_before: float) -> int:
        ended = {"completed", "failed", "cancelled"}
        infos = [_info(kept) for kept in self.kept.values()]
        gone = [i.stream for i in infos if i.status in ended and i.updated < ended_before]
        for name in gone:
            del self.kept[name]
        return len(gone)


def _info(kept: list[Entry]) -> StreamInfo:
    first, last = kept[0], kept[-1]
    opening = first.opening
    assert opening is not None
    statuses: list[Status] = [one.status for one in kept if one.status is not None]
    return StreamInfo(
        first.stream, opening.app_id, opening.target, opening.parent, statuses[-1], opening.source,
        first.at, last.at, last.n,
    )  # fmt: skip


class _Trial:
    """One drawn sequence, done to a journal and to the model."""

    def __init__(self) -> None:
        self.model = Model()
        #: How long each stream was after each append since all was answered: what may be read.
        self._lengths: list[dict[str, int]] = []
        self._due: list[bool] = []
        #: What was done, as it is told.
        self.told: list[str] = []

    async def act(self, hand: Hand, ops: Sequence[Op]) -> None:
        """Do these, and see at the end that all is there."""
        self._due = []
        self._settle()
        for op in ops:
            await self._do(hand, op)
        await self._answered(hand)
        for name in NAMES:
            same(await hand.read(name), self.model.kept.get(name, []), f"at the end, {name!r}")
        every = Streams(None, (), "", 100)
        same_infos(await hand.streams(), self.model.streams(every), "at the end, streams()")

    async def _do(self, hand: Hand, op: Op) -> None:  # noqa: ASYNC910 - some wait for nothing
        match op:
            case Append():
                entries = self._made(op)
                self.told.append(f"append({', '.join(map(_short, entries))})")
                hand.append(*entries)
                self._due.append(self.model.append(entries))
                self._lengths.append({name: len(k) for name, k in self.model.kept.items()})
            case Read():
                self.told.append(f"read({op.stream!r}, after={op.after}, limit={op.limit})")
                await self._read(hand, op)
            case Streams():
                await self._answered(hand)
                call = f"streams({', '.join(f'{k}={v!r}' for k, v in attrs.asdict(op).items())})"
                self.told.append(call)
                given = await hand.streams(
                    app_id=op.app_id, status=op.status, after=op.after, limit=op.limit
                )
                same_infos(given, self.model.streams(op), call)
            case Prune():
                await self._answered(hand)
                self.told.append(f"prune(ended_before={op.ended_before})")
                due, count = self.model.prune(op.ended_before), await hand.prune(op.ended_before)
                if count != due:
                    raise Broken(f"prune() was to drop {due} streams, and says {count}")
                self._settle()
            case Do(what="flush"):
                self.told.append("flush()")
                hand.journal.flush()
            case Do(what="turn"):
                await anyio.lowlevel.checkpoint()
            case Do():
                await self._answered(hand)

    async def _read(self, hand: Hand, op: Read) -> None:
        # Answered or not is known now; what is answered meanwhile may be read already.
        told = sum(receipt.told for receipt in hand.receipts) - self._base(hand)
        given = await hand.read(op.stream, after=op.after, limit=op.limit)
        lengths = {at.get(op.stream, 0) for at in self._lengths[max(0, told) :]}
        kept = self.model.kept.get(op.stream, [])
        pages = [kept[:length][op.after : op.after + op.limit] for length in sorted(lengths)]
        best = next((page for page in pages if len(page) == len(given)), pages[-1])
        same(given, best, f"read({op.stream!r}, after={op.after}, limit={op.limit})")

    def _base(self, hand: Hand) -> int:
        """How many appends had been answered when all was."""
        return len(hand.receipts) - (len(self._lengths) - 1)

    async def _answered(self, hand: Hand) -> None:
        """Wait for the answers, and see that they are right."""
        await hand.settled()
        for receipt, due in zip(hand.receipts, self._due, strict=True):
            if due and receipt.error is not None:
                raise Broken(f"{receipt} was refused: {receipt.error!r}")
            if not due and not isinstance(receipt.error, StreamConflictError):
                raise Broken(f"{receipt} must be refused, and got {receipt.error!r}")
        self._settle()

    def _settle(self) -> None:
        self._lengths = [{name: len(kept) for name, kept in self.model.kept.items()}]

    def _made(self, op: Append) -> list[Entry]:
        """Give the entries their places, as they are when the append is made."""
        count = dict[str, int]()
        made = list[Entry]()
        for one in op.entries:
            name = one.stream
            n = self.model.next(name) + count.get(name, 0) + one.off
            count[name] = count.get(name, 0) + 1
            opening = Opening(name.partition("/")[2], "Flow") if n == 1 else None
            status = one.status or ("running" if n == 1 else None)
            entry = Entry(name, n, one.kind, 1, float(one.at), one.key, one.body, status, opening)
            made.append(entry)
        return made


def _short(one: Entry) -> str:
    told = [repr(one.stream), str(one.n), one.kind]
    told += [] if one.key is None else [f"key={one.key!r}"]
    told += [] if one.status is None else [one.status]
    return f"<{' '.join(told)}>"


def as_a_small_journal_would(make: Callable[[], Bench], examples: int) -> None:
    """Whatever is done to it, in whatever order, the journal has in it what it must have."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415 - loaded late
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            "check_journal() draws with hypothesis. Type: pip install 'plait[testing]'\n"
            "Or leave that law out: check_journal(..., examples=0)"
        ) from missing
    found = list[_Found]()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.nested_given],
    )
    @given(_sequences())
    def draw(ops: list[Op]) -> None:
        if not found:
            found.extend(_try(make, ops))

    draw()
    if found:
        simplest = _simplest(make, found[0])
        done = "".join(f"\n  {line}" for line in simplest.told) or " nothing"
        raise Broken(f"{simplest.broken}\nThis was done:{done}") from simplest.broken.__cause__


@attrs.frozen
class _Found:
    """A sequence that breaks the law, and how it is told."""

    ops: list[Op]
    broken: Broken
    told: list[str]


def _try(make: Callable[[], Bench], ops: list[Op]) -> list[_Found]:
    trial, bench = _Trial(), make()
    try:
        for life in _lives(ops):
            bench.live(functools.partial(trial.act, ops=life))
    except Broken as broken:
        return [_Found(ops, broken, trial.told)]
    except Exception as error:  # noqa: BLE001 - whatever a journal raises is told
        return [_Found(ops, broken_by(error), trial.told)]
    return []


def _simplest(make: Callable[[], Bench], found: _Found) -> _Found:
    """Leave out what can be left out. Hypothesis would do better, and try ten thousand."""
    tries, size = MOST_TRIES, len(found.ops)
    while size and not isinstance(found.broken, Late):  # nobody wants to wait so often
        at = 0
        while at < len(found.ops) and tries:
            tries -= 1
            simpler = _try(make, found.ops[:at] + found.ops[at + size :])
            found = simpler[0] if simpler else found
            at += 0 if simpler else size
        size //= 2
    return found


def _lives(ops: Sequence[Op]) -> Iterator[list[Op]]:
    """Part them where the journal is closed and opened again."""
    life = list[Op]()
    for op in ops:
        if op == Do("reopen"):
            yield life
            life = []
        else:
            life.append(op)
    yield life


def _sequences() -> SearchStrategy[list[Op]]:
    from hypothesis import strategies as st  # noqa: PLC0415 - it is loaded late

    drawn = st.builds(
        Drawn,
        stream=st.sampled_from(NAMES),
        off=st.sampled_from((*[0] * 18, 1, -1)),
        kind=st.sampled_from(KINDS),
        key=st.sampled_from(KEYS),
        body=st.binary(max_size=8),
        at=st.integers(0, 9),
        status=st.sampled_from((None, None, None, *STATUSES)),
    )
    append = st.builds(Append, st.lists(drawn, min_size=1, max_size=3).map(tuple))
    read = st.builds(Read, st.sampled_from(NAMES), st.integers(0, 6), st.integers(1, 6))
    streams = st.builds(
        Streams,
        app_id=st.sampled_from((None, "", "shop", "nobody")),
        status=st.lists(st.sampled_from(STATUSES), max_size=3).map(tuple),
        after=st.sampled_from(("", *NAMES, "app", "z")),
        limit=st.integers(1, 4),
    )
    prune = st.builds(Prune, st.integers(0, 10))
    do = st.builds(Do, st.sampled_from(("turn", "turn", "wait", "flush", "reopen")))
    op = st.one_of(do, append, append, append, append, read, streams, prune)
    return st.lists(op, min_size=LENGTH, max_size=2 * LENGTH)  # else it draws short ones
