"""Instruments for tests of the engine under Trio: one fixed schedule, cuts at a step, what was made."""

import contextlib
import gc
import warnings

import attrs
import trio
import trio.testing

from plait._engine import native


@contextlib.contextmanager
def one_schedule(monkeypatch):
    """Have Trio take its tasks in the same order each time.

    Two private names of Trio: `test_the_schedule_is_fixed` says when they have changed.
    """
    monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    state = trio._core._run._r.getstate()
    try:
        yield
    finally:
        trio._core._run._r.setstate(state)


def run_fixed(async_fn, *args):
    """Run on a clock that jumps, with the schedule that belongs to seed 0."""
    trio._core._run._r.seed(0)
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


class Cutter(trio.abc.Instrument):
    """Counts the steps of all tasks, and calls a function just before some of them."""

    def __init__(self, cuts=()):
        self.steps = 0
        self.cuts = dict(cuts)
        self.trace = []

    def before_task_step(self, task):
        self.steps += 1
        self.trace.append(task.name)
        if cut := self.cuts.pop(self.steps, None):
            cut()

    def __enter__(self):
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_):
        trio.lowlevel.remove_instrument(self)


@attrs.define
class Made:
    """The limiters and channels that runs have made."""

    limiters: list = attrs.field(factory=list)
    channels: list = attrs.field(factory=list)

    def check(self):
        """Assert that no token is borrowed and no channel is open."""
        for limiter in self.limiters:
            assert limiter.borrowed_tokens == 0, f"{limiter.borrowed_tokens} tokens are borrowed"
            assert limiter.statistics().tasks_waiting == 0
        for channel in self.channels:
            for end in channel:
                counts = end.statistics()
                assert counts.open_send_channels == 0, "an inbox is open"
                assert counts.open_receive_channels == 0, "an inbox is open"
                assert counts.tasks_waiting_receive == 0


@contextlib.contextmanager
def recorded(monkeypatch):
    """Record what the Trio backend hands out."""
    made, backend = Made(), native._trio()

    def keep(make, kept):
        def making(*args):
            kept.append(make(*args))
            return kept[-1]

        return making

    with monkeypatch.context() as patch:
        patch.setattr(backend, "limiter", keep(backend.limiter, made.limiters))
        patch.setattr(backend, "open_channel", keep(backend.open_channel, made.channels))
        yield made


def collect_garbage():
    """Have everything that complains when it is dropped complain now, as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
