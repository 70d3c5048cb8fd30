"""The records of a run, for observers and tests; the plan that it follows."""

from plait._abc import Record as Record
from plait._ids import OUTSIDE as OUTSIDE
from plait._ids import DeliveryId as DeliveryId
from plait._ids import RunId as RunId
from plait._kernel.plan import Plan as Plan
from plait._kernel.plan import StepPlan as StepPlan
from plait._kernel.records import Cancelled as Cancelled
from plait._kernel.records import Closed as Closed
from plait._kernel.records import Collected as Collected
from plait._kernel.records import Completed as Completed
from plait._kernel.records import Crashed as Crashed
from plait._kernel.records import Decided as Decided
from plait._kernel.records import Emitted as Emitted
from plait._kernel.records import Failed as Failed
from plait._kernel.records import Idled as Idled
from plait._kernel.records import Interrupted as Interrupted
from plait._kernel.records import Outcome as Outcome
from plait._kernel.records import RunStarted as RunStarted
from plait._kernel.records import Stalled as Stalled
from plait._kernel.records import Started as Started
from plait._kernel.records import Stopped as Stopped
from plait._kernel.records import Streamed as Streamed
from plait._kernel.records import TimedOut as TimedOut
