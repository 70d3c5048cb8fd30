"""The events of the contract's table: `A`, `B` and `C` have `n: int = 0`; `A2` is a subclass of `A`."""

from plait import Event


class A(Event):
    n: int = 0


class A2(A):
    pass


class B(Event):
    n: int = 0


class C(Event):
    n: int = 0
