"""Normal forms of numbers: the core and the parts around it compare alike."""

import sys
from unicodedata import category

from hypothesis import given
from hypothesis import strategies as st

from dataflows.core.compiled import as_kind as in_the_core
from schemas.numbers import as_kind

KINDS = st.sampled_from(("waybill", "return_waybill", "erp"))
# Letters that Unicode 16 gave an upper case, which Python 3.12 doesn't know yet.
YOUNGER_THAN_PYTHONS = {"\u019b", "\u0264", "\ua7d3", "\ua7d5", "\U00010791"}


def test_every_character_has_the_same_normal_form() -> None:
    assigned = (chr(code) for code in range(sys.maxunicode) if not 0xD800 <= code < 0xE000)
    differing = {
        each
        for each in assigned
        if category(each) != "Cn"
        for kind in ("waybill", "erp")
        if in_the_core(kind, f" 1{each}") != as_kind(kind, f" 1{each}")
    }
    assert differing <= YOUNGER_THAN_PYTHONS


@given(KINDS, st.text(st.characters(exclude_categories=["Cn", "Cs"])))
def test_every_number_has_the_same_normal_form(kind: str, number: str) -> None:
    if YOUNGER_THAN_PYTHONS.isdisjoint(number):
        assert in_the_core(kind, number) == as_kind(kind, number)
