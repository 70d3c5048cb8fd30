"""Flow files: load, check and run YAML of REST, process and environment steps."""

from plait._strands._flows.checked import CheckedFlow as CheckedFlow
from plait._strands._flows.checked import CheckedStep as CheckedStep
from plait._strands._flows.checked import Need as Need
from plait._strands._flows.flow import Flow as Flow
from plait._strands._flows.flow import load as load
from plait._strands._flows.news import StepNews as StepNews
from plait._strands._flows.problems import FlowConfigError as FlowConfigError
from plait._strands._flows.problems import Place as Place
from plait._strands._flows.problems import Problem as Problem
from plait._strands._flows.result import ItemResult as ItemResult
from plait._strands._flows.result import RunResult as RunResult
from plait._strands._flows.result import StepFailed as StepFailed
from plait._strands._flows.result import StepFailure as StepFailure
from plait._strands._flows.result import StepResult as StepResult
from plait._strands._flows.runner import LocalRunner as LocalRunner
from plait._strands._flows.runner import run_flow as run_flow
from plait._strands._flows.story import FlowStarted as FlowStarted
from plait._strands._flows.story import StepDone as StepDone
