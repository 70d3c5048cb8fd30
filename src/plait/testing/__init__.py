"""For tests of workflows, plait's own and yours.

    run                   virtual time              schedules     Trio's scheduling order, explored
    WorkflowTestRunner    all that a run shows      task_tree     a look at what is alive

Imported by itself (`import plait.testing`), since it loads Trio. Only `schedules` needs Hypothesis.
"""

from plait.testing._clock import run as run
from plait.testing._runner import WorkflowTestResult as WorkflowTestResult
from plait.testing._runner import WorkflowTestRunner as WorkflowTestRunner
from plait.testing._schedules import schedules as schedules
from plait.testing._tree import task_tree as task_tree
