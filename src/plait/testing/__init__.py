"""For tests of workflows, plait's own and yours: virtual time, and a look at what is alive.

Imported by itself (`import plait.testing`), since it loads Trio.
"""

from plait.testing._clock import run as run
from plait.testing._tree import task_tree as task_tree
