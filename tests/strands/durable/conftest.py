"""What every test of durable functions gets: an end."""

from tests.engine.hanging import no_test_hangs as no_test_hangs
