"""plait: concurrent workflows with structured concurrency, on Trio and on asyncio.

    events     classes with `@step` methods that take and return typed events; most names are here
    errors     every error class          lowlevel   the records of a run
    abc        the ports                  testing    runs on a mock clock (imported by itself)

The layers, each of which imports only what is below it:

    façades → testing → _strands → _engine → _abc, _event → _kernel → _errors, _ids
"""

from plait import errors as errors
from plait import events as events
from plait import retry as retry
from plait._event import Event as Event
from plait._event import HumanResponseEvent as HumanResponseEvent
from plait._event import InputRequiredEvent as InputRequiredEvent
from plait._event import StartEvent as StartEvent
from plait._event import StopEvent as StopEvent
from plait._strands._events.checkpoint import Checkpoint as Checkpoint
from plait._strands._events.checkpoints import WorkflowCheckpointer as WorkflowCheckpointer
from plait._strands._events.collect import All as All
from plait._strands._events.collect import Collect as Collect
from plait._strands._events.collect import Take as Take
from plait._strands._events.context import Context as Context
from plait._strands._events.resources.marker import Resource as Resource
from plait._strands._events.resources.marker import ResourceConfig as ResourceConfig
from plait._strands._events.run import Run as Run
from plait._strands._events.run import WorkflowHandler as WorkflowHandler
from plait._strands._events.runtime import Runtime as Runtime
from plait._strands._events.runtime import open_runtime as open_runtime
from plait._strands._events.script import run as run
from plait._strands._events.serializers import JsonSerializer as JsonSerializer
from plait._strands._events.step import catch_error as catch_error
from plait._strands._events.step import step as step
from plait._strands._events.timeout import Timeout as Timeout
from plait._strands._events.workflow import Workflow as Workflow
