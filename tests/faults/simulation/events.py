"""The events of the programs. Each has a number, for whoever reads the story."""

from plait import Event, HumanResponseEvent, InputRequiredEvent


class Numbered(Event):
    """What travels; the number is for whoever reads the story."""

    n: int


class Think(Numbered):
    turn: int


class ToolCall(Numbered):
    turn: int
    of: int


class ToolResult(ToolCall):
    pass


class Token(Numbered, observable=True):
    pass


class Question(InputRequiredEvent):
    n: int
    about: int


class Approval(HumanResponseEvent):
    n: int
    about: int


class Page(Numbered):
    depth: int


class Links(Numbered):
    depth: int
    count: int


class Order(Numbered):
    pass


class Charged(Numbered):
    pass


class Refund(Numbered):
    pass


class Receipt(Numbered):
    pass


class Part(Numbered):
    pass


class Rough(Numbered):
    pass


class Fine(Numbered):
    pass


class Left(Numbered):
    pass


class Right(Numbered):
    pass


class LeftDone(Numbered):
    pass


class RightDone(Numbered):
    pass


class Met(Numbered):
    pass


class Chapter(Numbered):
    pass


class Written(Numbered):
    of: int


class Bid(Numbered):
    pass


class Watch(Numbered):
    pass
