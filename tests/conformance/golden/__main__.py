"""Write the golden journals of a release: `python -m tests.conformance.golden 0.1`.

Once for each release, and again when a story has been added before it is out: what is there is never
overwritten.
"""

import sys

from .journals import save

save(sys.argv[1])
