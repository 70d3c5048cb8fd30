"""What every test of the contract gets: an end."""

from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.parity.worlds import time_waits_for_threads as time_waits_for_threads
from tests.parity.worlds import world as world
