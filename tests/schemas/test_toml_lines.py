"""Lines of a TOML document: every table, key and element is found where it is written."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from deploy.installation import toml_value
from schemas.toml_lines import Lines

TEXT = '''# c = "x"
version = 1
zone = "a#b"
[attributes]
"x y" = {type = "int", 'r.s' = true}
a.b = 3
[[rule]]
id = "x"
statuses = [ # [
  "A",
  'B]', "C"
]
when = """
a = 1 "" b
[[rule]]
""""
escalate = {after = "1d", action = {kind = "k", expires = "1h"}}
[rule.pausing]
X = "1d"

[[rule]]
id = "y"
[[rule.anchors]]
anchor = "q"
[[rule.anchors]]
anchor = 1979-05-27 07:32:00
[ calendar . "of fice" ]
years = [2000, 2020]
'''
EXPECTED = {
    ("version",): 2,
    ("zone",): 3,
    ("attributes",): 4,
    ("attributes", "x y"): 5,
    ("attributes", "x y", "type"): 5,
    ("attributes", "x y", "r.s"): 5,
    ("attributes", "a"): 6,
    ("attributes", "a", "b"): 6,
    ("rule",): 7,
    ("rule", 0): 7,
    ("rule", 0, "id"): 8,
    ("rule", 0, "statuses"): 9,
    ("rule", 0, "statuses", 0): 10,
    ("rule", 0, "statuses", 1): 11,
    ("rule", 0, "statuses", 2): 11,
    ("rule", 0, "when"): 13,
    ("rule", 0, "escalate"): 17,
    ("rule", 0, "escalate", "after"): 17,
    ("rule", 0, "escalate", "action"): 17,
    ("rule", 0, "escalate", "action", "kind"): 17,
    ("rule", 0, "escalate", "action", "expires"): 17,
    ("rule", 0, "pausing"): 18,
    ("rule", 0, "pausing", "X"): 19,
    ("rule", 1): 21,
    ("rule", 1, "id"): 22,
    ("rule", 1, "anchors"): 23,
    ("rule", 1, "anchors", 0): 23,
    ("rule", 1, "anchors", 0, "anchor"): 24,
    ("rule", 1, "anchors", 1): 25,
    ("rule", 1, "anchors", 1, "anchor"): 26,
    ("calendar", "of fice"): 27,
    ("calendar", "of fice", "years"): 28,
    ("calendar", "of fice", "years", 0): 28,
    ("calendar", "of fice", "years", 1): 28,
}
VALUES = st.recursive(
    st.booleans() | st.integers(-9, 9**9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_every_place_has_its_line() -> None:
    assert tomllib.loads(TEXT)
    assert dict(Lines(TEXT)) == EXPECTED


def test_a_place_without_a_line_has_that_of_the_table_around_it() -> None:
    lines = Lines(TEXT)
    assert lines.nearest(("rule", 1, "after")) == 21
    assert lines.nearest(("rule", 7, "after")) == 7
    assert lines.nearest(()) == 1


@given(st.lists(VALUES, max_size=6))
def test_every_key_is_found_whatever_the_values_hold(values: list[object]) -> None:
    text = "".join(f"# [\nkey{n} = {toml_value(value)}\n" for n, value in enumerate(values))
    lines = Lines(text)
    assert tomllib.loads(text).keys() == {place[0] for place in lines}
    assert all(lines[f"key{n}",] == 2 * n + 2 for n in range(len(values)))
