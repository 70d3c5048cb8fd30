"""Write the golden journals of a release: `python -m tests.conformance.golden 0.1`.

Once for each release, and never again: what is there is not overwritten.
"""

import sys

from .journals import save

save(sys.argv[1])
