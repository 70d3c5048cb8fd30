"""The same rules, written to be read and not to be fast: it looks at everything, each time.

`Model` knows a plan as `Drawn` steps. It is told what each stimulus means in its own words, and says
who runs, who has ended how, and whether the run has been decided.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from plait._kernel.plan import Word

Item: TypeAlias = tuple[str, int]
Place: TypeAlias = Literal["queued", "running", "due", "succeeded", "failed", "cancelled"]
#: What becomes of a step when its turn comes: so many items, or one of these.
Fate: TypeAlias = int | Literal["leave", "broken"]
ENDED: tuple[Place, ...] = ("succeeded", "failed", "cancelled")


@attrs.frozen
class Drawn:
    """A step of a random plan."""

    name: str
    needs: dict[str, Word]
    workers: int
    group: str | None
    fail_fast: bool
    aborts: bool
    attempts: int
    fate: Fate
    reused: frozenset[int]


class Model:
    """One run."""

    def __init__(self, steps: list[Drawn], workers: int, groups: dict[str, int]) -> None:
        self.steps = {one.name: one for one in steps}
        self.workers = workers
        self.groups = groups
        #: "pending", "open", "succeeded", "failed", or why it was skipped.
        self.status: dict[str, str] = dict.fromkeys(self.steps, "pending")
        self.items: dict[Item, Place] = {}
        self.tries: dict[Item, int] = {}
        #: Who is queued, in order; whom the shell is to cancel; who began, in order.
        self.line: list[Item] = []
        self.unwanted: set[Item] = set()
        self.begun: list[Item] = []
        #: Steps that have failed and of whom that has not been told.
        self.news: list[str] = []
        self.decided: str = ""
        self.settle()

    # ------------------------------------------------------------ what happens

    def ends(self, item: Item, *, well: bool) -> None:
        """A body has come to its end."""
        self.items[item] = "succeeded" if well else "failed"
        self.look(item[0])
        self.settle()

    def raises(self, item: Item, *, final: bool) -> None:
        """A body has raised: it comes again, or that was its end."""
        name = item[0]
        self.tries[item] = self.tries.get(item, 0) + 1
        again = self.tries[item] < self.steps[name].attempts and not final
        doomed = self.steps[name].fail_fast and self.has(name, "failed", "cancelled")
        if self.decided or not again or doomed:
            self.ends(item, well=False)
        else:
            self.items[item] = "due"
            self.settle()

    def rings(self, item: Item) -> None:
        """The time of a retry has come."""
        if not self.decided and self.items[item] == "due":
            self.items[item] = "queued"
            self.line.append(item)
            self.settle()

    def stops(self, how: str) -> None:
        """Somebody has ended the run."""
        self.decided = self.decided or how

    # ------------------------------------------------------------ what follows

    def mine(self, name: str) -> list[Item]:
        """The items of a step."""
        return [item for item in self.items if item[0] == name]

    def has(self, name: str, *places: Place) -> bool:
        """Is one of its items there?"""
        return any(self.items[item] in places for item in self.mine(name))

    @property
    def running(self) -> list[Item]:
        """Whose bodies run."""
        return [item for item, place in self.items.items() if place == "running"]

    def look(self, name: str) -> None:
        """See whether a step is over, or shall be cut short."""
        failed = self.has(name, "failed", "cancelled")
        if failed and self.steps[name].fail_fast and not self.decided:
            for item in self.mine(name):
                if self.items[item] in {"queued", "due"}:
                    self.items[item] = "cancelled"
                elif self.items[item] == "running":
                    self.unwanted.add(item)
        if all(self.items[item] in ENDED for item in self.mine(name)):
            self.status[name] = "failed" if failed else "succeeded"
            if failed:
                self.news.append(name)

    def settle(self) -> None:
        """Do what follows, until nothing does."""
        while not self.decided:
            if self.news:
                self.tell(self.news.pop(0))
            elif called := [name for name in self.steps if self.is_called(name)]:
                for name in called:
                    self.admit(name)
            elif (item := self.next_one()) is not None:
                self.items[item] = "running"
                self.line.remove(item)
                self.begun.append(item)
            elif not [item for item, place in self.items.items() if place not in ENDED]:
                self.decided = "Stalled" if "pending" in self.status.values() else "Finished"
            else:
                return

    def is_called(self, name: str) -> bool:
        """Has its turn come?"""
        over = {"succeeded", "failed", "when", "upstream"}
        needs = self.steps[name].needs
        return self.status[name] == "pending" and all(self.status.get(n) in over for n in needs)

    def admit(self, name: str) -> None:
        """Let a step's turn come."""
        step = self.steps[name]
        live = [
            needed
            for needed in step.needs
            if self.status[needed] == "succeeded" or self.status[needed] == "failed"
        ]
        if step.needs and not live:
            self.status[name] = "upstream"
        elif step.fate == "leave":
            self.status[name] = "when"
        elif step.fate == "broken":
            self.items[name, 0] = "failed"
            self.look(name)
        else:
            self.status[name] = "open"
            for number in range(step.fate):
                known = number in step.reused
                self.items[name, number] = "succeeded" if known else "queued"
                self.line += [] if known else [(name, number)]
            self.look(name)

    def next_one(self) -> Item | None:
        """The first in line who fits."""
        return next((item for item in self.line if self.fits(item)), None)

    def fits(self, item: Item) -> bool:
        """Is there room for it?"""
        if self.items[item] != "queued":
            return False
        step, running = self.steps[item[0]], self.running
        together = [i for i in running if step.group and self.steps[i[0]].group == step.group]
        return (
            len(running) < self.workers
            and len([i for i in running if i[0] == step.name]) < step.workers
            and (step.group is None or len(together) < self.groups[step.group])
        )

    def tell(self, name: str) -> None:
        """Tell those that wait for a step that it has failed."""
        behind = {one.name: one.needs[name] for one in self.steps.values() if name in one.needs}
        for word, reason in (("fail", "abort"), ("skip", "on_error")):
            for lost in self.descent([one for one, edge in behind.items() if edge == word]):
                self.status[lost] = reason
        if "fail" in behind.values() or (not behind and self.steps[name].aborts):
            self.decided = "Crashed"

    def descent(self, names: list[str]) -> list[str]:
        """Those that are pending, and all behind them."""
        found = [name for name in names if self.status[name] == "pending"]
        for name in found:
            found += [
                one.name
                for one in self.steps.values()
                if name in one.needs
                and self.status[one.name] == "pending"
                and one.name not in found
            ]
        return found
