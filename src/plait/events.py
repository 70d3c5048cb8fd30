"""Workflows of typed events: every name of this strand."""

from plait._engine.runtime import Runtime as Runtime
from plait._engine.runtime import open_runtime as open_runtime
from plait._engine.stream import EventStream as EventStream
from plait._errors import Waiting as Waiting
from plait._event import ChildEvent as ChildEvent
from plait._event import Event as Event
from plait._event import HumanResponseEvent as HumanResponseEvent
from plait._event import InputRequiredEvent as InputRequiredEvent
from plait._event import InternalDispatchEvent as InternalDispatchEvent
from plait._event import StartEvent as StartEvent
from plait._event import StepFailedEvent as StepFailedEvent
from plait._event import StepState as StepState
from plait._event import StepStateChanged as StepStateChanged
from plait._event import StopEvent as StopEvent
from plait._event import WorkflowCancelledEvent as WorkflowCancelledEvent
from plait._event import WorkflowFailedEvent as WorkflowFailedEvent
from plait._event import WorkflowIdleEvent as WorkflowIdleEvent
from plait._event import WorkflowTimedOutEvent as WorkflowTimedOutEvent
from plait._strands._events.context import Context as Context
from plait._strands._events.run import Run as Run
from plait._strands._events.run import WorkflowHandler as WorkflowHandler
from plait._strands._events.script import run as run
from plait._strands._events.step import step as step
from plait._strands._events.store import DictState as DictState
from plait._strands._events.store import StateStore as StateStore
from plait._strands._events.workflow import Workflow as Workflow
