"""Models of the knobs: as slow as they like, and obviously right."""

from __future__ import annotations

from collections import Counter


class Queue:
    """Runs that wait, in a list; whenever anything happens, look at them all."""

    def __init__(self, limits=(), throttle=None):
        #: (how many, who shares it) of each limit, and (interval, burst, key).
        self.limits, self.throttle = limits, throttle
        self.waiting = []
        self.running = {}
        self.tats = {}
        self.starts = []

    def add(self, now, name, data, priority=0.0):
        self.waiting.append((now - priority, len(self.starts) + len(self.waiting), name, data))

    def fits(self, now, data):
        if self.throttle is not None:
            interval, burst, key = self.throttle
            tat = self.tats.get(key(data), now)
            if now < tat - (burst - 1) * interval:
                return False
        taken = Counter(share(one) for one in self.running.values() for _, share in self.limits)
        return all(taken[share(data)] < limit for limit, share in self.limits)

    def settle(self, now):
        while True:
            for entry in sorted(self.waiting, key=lambda entry: entry[:2]):
                _, _, name, data = entry
                if self.fits(now, data):
                    break
            else:
                return
            self.waiting.remove(entry)
            self.running[name] = data
            self.starts.append((now, name))
            if self.throttle is not None:
                interval, _, key = self.throttle
                self.tats[key(data)] = max(now, self.tats.get(key(data), now)) + interval


def gcra(arrivals, interval, burst):
    """When each starts that came at these times, one after the other."""
    tat, starts = float("-inf"), []
    for now in arrivals:
        start = max(now, tat - (burst - 1) * interval)
        tat = max(start, tat) + interval
        starts.append(start)
    return starts


def passed(arrivals, limit, period):
    """Those that a rate limit lets pass: fewer than `limit` in the `period` before."""
    through = []
    for now in arrivals:
        if sum(now - before < period for before in through) < limit:
            through.append(now)
    return through


def bursts(arrivals, period, timeout):
    """When each burst ends, and its last event. Arrivals are (time, event), of one key."""
    ends, began, due, last = [], None, None, None
    for now, event in arrivals:
        if began is not None and now >= due:
            ends.append((due, last))
            began = None
        if began is None:
            began = now
        due, last = now + period, event
        if timeout is not None:
            due = min(due, began + timeout)
    return [*ends, (due, last)] if began is not None else ends


def batches(arrivals, size, timeout):
    """When each batch goes, and its events. Arrivals are (time, event), of one key."""
    gone, began, held = [], None, []
    for now, event in arrivals:
        if held and now >= began + timeout:
            gone.append((began + timeout, held))
            held = []
        if not held:
            began = now
        held = [*held, event]
        if len(held) == size:
            gone.append((now, held))
            held = []
    return [*gone, (began + timeout, held)] if held else gone
