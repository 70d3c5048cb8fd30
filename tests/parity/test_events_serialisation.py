"""Row 97: serializers, as far as they go without a context."""

import base64

import pytest

from plait import Event, JsonSerializer
from plait._strands._events.serializers import values_for
from plait.errors import ContextSerdeError
from plait.events import PickleSerializer
from tests.parity.letters import A, B


class Shouting:
    """A serializer of the user's own."""

    def serialize(self, value):
        return base64.b16encode(JsonSerializer([A, B]).serialize(value).encode()).decode()

    def deserialize(self, value):
        return JsonSerializer([A, B]).deserialize(base64.b16decode(value).decode())


@pytest.mark.parametrize(
    "make",
    [lambda: JsonSerializer([A, B]), PickleSerializer, Shouting],
    ids=["json", "pickle", "custom"],
)
def test_row_097_each_round_trips(make):
    value = {"a": [A(n=1), B(n=2)], "b": (1, 2.5, None), "c": {"x"}, "d": Event(x=1)}
    serializer = make()
    text = serializer.serialize(value)
    assert isinstance(text, str)
    assert serializer.deserialize(text) == value
    values = values_for(serializer, [A, B], "W")
    assert values.decode(values.encode(value)) == value
    assert values.decode(values.encode(A(n=3))) == A(n=3)


@pytest.mark.parametrize("make", [JsonSerializer, PickleSerializer])
def test_row_097_a_lambda_raises(make):
    with pytest.raises(ContextSerdeError):
        make().serialize({"f": lambda: 1})


def test_row_097_allowed_types_is_enforced():
    with pytest.raises(ContextSerdeError) as caught:
        values_for(JsonSerializer([A]), [], "W").encode([A(), B()])
    assert str(caught.value) == (
        "[1]: Class tests.parity.letters.B is not known to workflow 'W'. "
        "Pass JsonSerializer(allowed_types=[B])."
    )
    text = JsonSerializer([A, B]).serialize(B())
    with pytest.raises(ContextSerdeError, match=r"letters\.B is not known"):
        JsonSerializer(allowed_types=[A]).deserialize(text)
