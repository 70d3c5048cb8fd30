"""Functions that survive the process, and the journals in which their runs, and others, are kept.

    App, Context, Event, TriggerEvent     a function, its event, what starts it
    ctx.step, ctx.group                   calls that are remembered; several at a time
    Concurrency ... Singleton             flow control
    SqliteJournal, MemoryJournal          where records are kept

Imported by itself (`import plait.durable`), since it loads SQLite.
"""

from plait._engine.bodies.current import CurrentStep as CurrentStep
from plait._engine.bodies.groups import Tasks as Tasks
from plait._journal.memory import MemoryJournal as MemoryJournal
from plait._journal.sqlite import SqliteJournal as SqliteJournal
from plait._steps.attempt import current_step as current_step
from plait._steps.branches import Failed as Failed
from plait._steps.branches import LoopVariableWarning as LoopVariableWarning
from plait._steps.branches import Ok as Ok
from plait._steps.branches import Winner as Winner
from plait._steps.checks import Duration as Duration
from plait._steps.group import Group as Group
from plait._strands._durable.app import App as App
from plait._strands._durable.context import Context as Context
from plait._strands._durable.context import SyncContext as SyncContext
from plait._strands._durable.entrance import SyncScope as SyncScope
from plait._strands._durable.event import Event as Event
from plait._strands._durable.event import FunctionFailed as FunctionFailed
from plait._strands._durable.event import Sendable as Sendable
from plait._strands._durable.function import Function as Function
from plait._strands._durable.function import FunctionDecorator as FunctionDecorator
from plait._strands._durable.history import Record as Record
from plait._strands._durable.history import story as story
from plait._strands._durable.inspect import ErrorInfo as ErrorInfo
from plait._strands._durable.inspect import RunInfo as RunInfo
from plait._strands._durable.middleware import Middleware as Middleware
from plait._strands._durable.options import Batch as Batch
from plait._strands._durable.options import Cancel as Cancel
from plait._strands._durable.options import Concurrency as Concurrency
from plait._strands._durable.options import Debounce as Debounce
from plait._strands._durable.options import Priority as Priority
from plait._strands._durable.options import RateLimit as RateLimit
from plait._strands._durable.options import Singleton as Singleton
from plait._strands._durable.options import Throttle as Throttle
from plait._strands._durable.options import Timeouts as Timeouts
from plait._strands._durable.run_logger import RunLogger as RunLogger
from plait._strands._durable.step import Step as Step
from plait._strands._durable.sync import SyncGroup as SyncGroup
from plait._strands._durable.sync import SyncStep as SyncStep
from plait._strands._durable.sync import SyncTasks as SyncTasks
from plait._strands._durable.triggers import Trigger as Trigger
from plait._strands._durable.triggers import TriggerCron as TriggerCron
from plait._strands._durable.triggers import TriggerEvent as TriggerEvent
from plait._strands._durable.worker import Worker as Worker
