"""What every test of the instruments gets: an end."""

from tests.engine.hanging import no_test_hangs as no_test_hangs
