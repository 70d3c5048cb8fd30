"""Every error class of plait."""

from plait._errors import ContextSerdeError as ContextSerdeError
from plait._errors import ContextStateError as ContextStateError
from plait._errors import Fault as Fault
from plait._errors import MissingExtra as MissingExtra
from plait._errors import PlaitError as PlaitError
from plait._errors import PlaitInternalError as PlaitInternalError
from plait._errors import StepTimeoutError as StepTimeoutError
from plait._errors import StreamFullError as StreamFullError
from plait._errors import UnreconstructedException as UnreconstructedException
from plait._errors import WorkflowCancelledByUser as WorkflowCancelledByUser
from plait._errors import WorkflowConfigurationError as WorkflowConfigurationError
from plait._errors import WorkflowDone as WorkflowDone
from plait._errors import WorkflowRuntimeError as WorkflowRuntimeError
from plait._errors import WorkflowStalledError as WorkflowStalledError
from plait._errors import WorkflowStepDoesNotExistError as WorkflowStepDoesNotExistError
from plait._errors import WorkflowTimeoutError as WorkflowTimeoutError
from plait._errors import WorkflowValidationError as WorkflowValidationError
