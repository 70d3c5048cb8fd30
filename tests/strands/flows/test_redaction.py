"""What is hidden: every form of a secret, in everything that leaves a run; and putting it back."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait._strands._flows.redaction import Redactor, UnknownSecret, reveal, sounds_secret
from tests.strands.flows.rendering import rendered

SECRET = "p/4 ss+w\"o'rd<&>\\%é"


def redactor(**secrets: object) -> Redactor:
    made = Redactor()
    for name, value in secrets.items():
        made.add(value, f"secrets.{name}")
    return made


FORMS = {
    "as it is": SECRET,
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON, unescaped": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "JSON by tojson": rendered("{{ env.X | tojson }}".replace("env.X", json.dumps(SECRET)))[1:-1],
    "repr": repr(SECRET)[1:-1],
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded in a path": quote(SECRET),
    "percent-encoded in a form": quote_plus(SECRET),
    "percent-encoded in lower case": quote(SECRET, safe="").replace("%2F", "%2f")
    .replace("%2B", "%2b").replace("%3C", "%3c").replace("%3E", "%3e").replace("%5C", "%5c")
    .replace("%C3%A9", "%c3%a9"),
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 of URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_hidden_anywhere_in_a_text(form):
    hides = redactor(key=SECRET)
    assert hides.text(form) == "***"
    assert hides.text(f"<{form}|{form}>") == "<***|***>"
    kept = hides.hide(f"<{form}>")
    assert form not in json.dumps(kept, ensure_ascii=False)
    assert kept.startswith("<${plait:secrets.key:")
    assert reveal(kept, hides.values) == f"<{form}>"
    assert hides.named(f"<{form}>") == "<${plait:secrets.key}>"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
@pytest.mark.parametrize("after", ["", "1", "12", "123"])
def test_it_is_hidden_in_the_middle_of_base64(before, after):
    secret = "hunter2hunter2"
    text = base64.b64encode(f"{before}{secret}{after}".encode()).decode()
    hidden = redactor(key=secret).text(text)
    assert "***" in hidden
    # What is left over is at most a character of the secret at each end.
    left = hidden.split("***")
    assert len(left[0]) * 6 <= len(before) * 8 + 8
    assert len(left[1].rstrip("=")) * 6 <= len(after) * 8 + 8


def test_each_line_of_eight_characters_is_hidden():
    key = "-----BEGIN-----\nAbCdEfGhIjKl\nshort\n/1234567+\n"
    hides = redactor(key=key)
    assert hides.text(key) == "***"
    assert hides.text("x AbCdEfGhIjKl y") == "x *** y"
    assert hides.text(f"x {quote('/1234567+', safe='')} y") == "x *** y"
    assert hides.text("short") == "short"
    kept = hides.hide(["AbCdEfGhIjKl", "%2F1234567%2B"])
    assert "AbCd" not in str(kept)
    assert "1234567" not in str(kept)
    assert reveal(kept, hides.values) == ["AbCdEfGhIjKl", "%2F1234567%2B"]


@pytest.mark.parametrize("secret", ["a", "ab", "abc"])
def test_a_short_one_is_hidden_only_where_it_is_all(secret):
    hides = redactor(key=secret)
    assert hides.text(secret) == "***"
    assert hides.text(f"x{secret}") == f"x{secret}"
    assert hides.tree({"k": [secret, f"{secret}x"]}) == {"k": ["***", f"{secret}x"]}
    assert reveal(hides.hide([secret]), hides.values) == [secret]


def test_four_characters_are_enough():
    assert redactor(key="abcd").text("xabcdx") == "x***x"


def test_an_empty_one_hides_nothing():
    hides = redactor(key="")
    assert hides.text("") == ""
    assert hides.tree(["", "a"]) == ["", "a"]


def test_the_longest_one_comes_first():
    hides = redactor(a="abcd", b="abcdefgh", c="cdef")
    assert hides.text("abcdefgh") == "***"
    assert hides.text("abcdefg.") == "***g."  # abcd and cdef
    assert hides.text("abcd-cdef") == "***-***"


def test_what_overlaps_is_hidden_altogether():
    hides = redactor(a="abcdef", b="defghi")
    assert hides.text("<abcdefghi>") == "<***>"
    kept = hides.hide("<abcdefghi>")
    assert "ghi" not in kept
    assert reveal(kept, hides.values) == "<abcdefghi>"
    assert redactor(a="aaaa").text("aaaaaa b") == "*** b"


def test_a_tree():
    hides = redactor(key="hunter2", pin=123456, small=7)
    value = {
        "a": ["hunter2", "x hunter2", 123456, 7777, "123456", 7, "7", "77", True, None, 1.5],
        "hunter2": {"x-hunter2": 1},
    }
    assert hides.tree(value) == {
        "a": ["***", "x ***", "***", 7777, "***", "***", "***", "77", True, None, 1.5],
        "***": {"x-***": 1},
    }
    kept = hides.hide(value)
    assert "hunter2" not in json.dumps(kept)
    assert "123456" not in json.dumps(kept)
    assert reveal(kept, hides.values) == value


def test_what_has_nothing_to_hide_is_the_same_object():
    value = {"a": ["x", 1, {"b": None}]}
    for hides in (redactor(), redactor(key="hunter2")):
        assert hides.tree(value) is value
        assert hides.hide(value) is value
    assert value == {"a": ["x", 1, {"b": None}]}


def test_keys_that_come_to_look_the_same_stay_apart():
    hides = redactor(a="hunter2", b="swordfish")
    assert hides.tree({"hunter2": 1, "swordfish": 2, "***": 3}) == {
        "***": 1,
        "*** (2)": 2,
        "*** (3)": 3,
    }


def test_a_secret_with_parts():
    hides = redactor(all={"user": "someone", "codes": [98765, "fghij"], "on": True, "no": None})
    assert hides.tree(["someone", 98765, "fghij", True, None]) == ["***", "***", "***", True, None]
    assert hides.values["secrets.all.user"] == "someone"
    assert hides.values["secrets.all.codes.1"] == "fghij"


def test_what_is_no_json_is_no_secret():
    with pytest.raises(TypeError, match="a secret must be JSON, not bytes"):
        redactor(key=b"x")


def test_the_first_name_holds():
    hides = redactor(a="hunter2", b="hunter2")
    assert hides.hide("hunter2") == "${plait:secrets.a:plain}"


def test_what_looks_like_a_placeholder_is_kept_as_it_is():
    hides = redactor(key="hunter2")
    for text in (
        "${plait:secrets.key:plain}",
        "${plait:",
        "${plait::}",
        "${plait:${plait:x",
        "$${plait:}hunter2${plait:",
        "${plaithunter2:",
    ):
        assert reveal(hides.hide(text), hides.values) == text
        assert reveal(redactor().hide(text), {}) == text
        assert "hunter2" not in str(hides.hide(text))


def test_a_name_may_have_any_characters():
    hides = Redactor()
    hides.add("hunter2", "secrets.a:b}{%é")
    kept = hides.hide("x hunter2")
    assert reveal(kept, hides.values) == "x hunter2"


def test_what_is_not_known_any_more_cannot_be_put_back():
    kept = redactor(key="hunter2\nswordfish").hide({"a": ["swordfish"]})
    with pytest.raises(UnknownSecret, match=r"secrets\.key"):
        reveal(kept, {})
    with pytest.raises(UnknownSecret, match=r"secrets\.key"):
        reveal(kept, {"secrets.key": "one line"})  # it has not as many lines as it had
    assert reveal(kept, {"secrets.key": "a\nrotated-one"}) == {"a": ["rotated-one"]}


def test_a_number_comes_back_as_a_number():
    hides = redactor(pin=123456)
    assert reveal(hides.hide([123456, "123456", "x123456"]), hides.values) == [
        123456,
        "123456",
        "x123456",
    ]


def test_a_secret_may_be_added_later():
    hides = redactor(a="hunter2")
    assert hides.text("hunter2 swordfish") == "*** swordfish"
    hides.add("swordfish", "secrets.b")
    assert hides.text("hunter2 swordfish") == "*** ***"
    assert "swordfish" not in hides.hide("swordfish")


def test_nothing_is_shown_of_them():
    hides = redactor(a="hunter2")
    assert "hunter2" not in repr(hides)
    assert "hunter2" not in str(hides)


@pytest.mark.parametrize("length", [4095, 4097, 50_000])
def test_long_texts_are_looked_through_as_well(length):
    hides = redactor(a="hunter2")
    assert hides.text("x" * length) == "x" * length
    assert hides.text("x" * length + "hunter2") == "x" * length + "***"
    text = "x" * length + "${plait:"
    assert reveal(hides.hide(text), hides.values) == text


def test_half_of_a_pair_of_characters_is_hidden():
    hides = redactor(a="ab\udc80cd", b="ab\ud83dcd")
    assert hides.text("x ab\udc80cd ab\ud83dcd") == "x *** ***"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("MY_PASSWORD", True),
        ("passwd", True),
        ("Client_Secret", True),
        ("GITHUB_TOKEN", True),
        ("APIKEY", True),
        ("x_api_key_2", True),
        ("PRIVATE_KEY", True),
        ("AWS_CREDENTIALS", True),
        ("KEY", False),
        ("HOME", False),
        ("PASS", False),
    ],
)
def test_names_that_tell(name, answer):
    assert sounds_secret(name) is answer


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.text("ab1é/ \n${plait:}", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab1${plait:}", max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSONS, st.lists(st.text("ab1é/ \n", max_size=9), max_size=4))
def test_whatever_it_is_it_comes_back_and_shows_nothing(value, secrets):
    hides = Redactor()
    for number, secret in enumerate(secrets):
        hides.add(secret, f"s{number}")
    kept = hides.hide(value)
    assert reveal(json.loads(json.dumps(kept)), hides.values) == value
    for shown in (hides.tree(value), hides.named(value)):
        for text in texts_of(shown):
            for secret in secrets:
                if len(secret) >= 4:
                    assert secret not in text
    for text in texts_of(hides.tree(value)):
        assert not text or text not in secrets


def texts_of(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for one in value for text in texts_of(one)]
        case dict():
            return [text for pair in value.items() for one in pair for text in texts_of(one)]
        case _:
            return []


@settings(deadline=None)
@given(st.lists(st.text(min_size=4, max_size=20), min_size=1, max_size=9), st.data())
def test_a_text_made_of_secrets_shows_none_of_them(secrets, data):
    hides = Redactor()
    for number, secret in enumerate(secrets):
        hides.add(secret, f"s{number}")
    parts = data.draw(st.lists(st.sampled_from([*secrets, "-", "x"]), max_size=12))
    shown = hides.text("".join(parts))
    assert not [secret for secret in secrets if secret in shown and secret not in "***x-x-***"]
