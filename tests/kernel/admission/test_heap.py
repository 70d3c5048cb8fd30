"""The heap beside a dict: whatever is put in, moved and taken out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait._kernel.admission.heap import Heap

CHANGES = st.lists(st.tuples(st.integers(0, 30), st.none() | st.integers(0, 99)), max_size=80)


@given(CHANGES)
def test_the_first_is_the_lowest_of_all(changes):
    heap, model = Heap(), {}
    for key, rank in changes:
        if rank is None:
            heap.remove(key)
            model.pop(key, None)
        else:
            heap.put(key, (rank, key))
            model[key] = (rank, key)
        assert len(heap) == len(model)
        assert {*heap} == {*model}
        assert all(heap.rank_of(one) == model[one] for one in model)
        if model:
            assert heap.lowest == min(model.values())
            assert model[heap.first] == heap.lowest
    left = []
    while heap:
        left.append(heap.lowest)
        heap.remove(heap.first)
    assert left == sorted(model.values())


def test_heaps_with_the_same_content_are_equal():
    one, other = Heap(), Heap()
    for key in (3, 1, 2):
        one.put(key, (key,))
    for key in (1, 2, 3):
        other.put(key, (key,))
    assert one == other
    assert repr(one) == repr(other) == "Heap([((1,), 1), ((2,), 2), ((3,), 3)])"
    other.put(2, (5,))
    assert one != other
    assert one != 3
