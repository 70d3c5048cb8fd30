"""The soak, for some seconds: what is held is the same at the end. `python -m tests.faults.soak` is longer."""

from tests.engine.hanging import no_test_hangs as no_test_hangs
from tests.faults.soak import risen, soak


def test_a_mixed_load_holds_no_more_at_its_end():
    samples = soak(5, every=0.5)
    assert len(samples) >= 2
    assert risen(samples, "objects", "descriptors", "threads", "tasks") == {}
