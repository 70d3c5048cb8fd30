"""What every test of runs on a journal gets: an end."""

from tests.engine.hanging import no_test_hangs as no_test_hangs
