"""For tests of workflows, plait's own and yours.

    run                   virtual time              Story        what happened, for assertions
    explore_schedules     a test under many orders of Trio's tasks (schedules: as a strategy)
    check_workflow        plait's promises, on a workflow of yours
    WorkflowTestRunner    all that a run shows      task_tree    a look at what is alive
    check_journal         what plait relies on, of a journal of yours
    check_source          what flows rely on, of a source of yours
    check_recovery        a durable function of yours, recovered from each crash
    context               a durable function, called as any other

Imported by itself (`import plait.testing`), since it loads Trio. Only `explore_schedules`,
`schedules` and `check_journal` need Hypothesis.
"""

from plait.testing._check import check_workflow as check_workflow
from plait.testing._clock import run as run
from plait.testing._context import context as context
from plait.testing._explore import explore_schedules as explore_schedules
from plait.testing._journal_laws import check_journal as check_journal
from plait.testing._recovery import check_recovery as check_recovery
from plait.testing._runner import WorkflowTestResult as WorkflowTestResult
from plait.testing._runner import WorkflowTestRunner as WorkflowTestRunner
from plait.testing._schedules import schedules as schedules
from plait.testing._source_laws import check_source as check_source
from plait.testing._story import Delivery as Delivery
from plait.testing._story import Story as Story
from plait.testing._tree import task_tree as task_tree
