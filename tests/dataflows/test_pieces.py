"""Pieces for another process arrive as they were sent."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from dataflows.core import compiled
from dataflows.core.fact import Fact
from dataflows.core.questions import (
    Question,
    Registration,
    decode_registrations,
    encode_registrations,
)
from dataflows.exchange import Dead, NumberPiece, OrderPiece

INSTANTS = st.integers(-1, 2**53)
VALUES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.floats(-1e9, 1e9)
FIELDS = st.none() | st.dictionaries(st.text(), VALUES | st.lists(VALUES))
FACTS = st.builds(
    Fact,
    key=st.text(),
    arrival_at=INSTANTS,
    at=INSTANTS,
    status=st.integers(0, 99),
    shipment=st.text(),
    source=st.text(),
    event_id=st.text(),
    hash=st.integers(0, 2**63 - 1),
    raw=st.binary(),
    topic=st.text(),
    partition=st.integers(0, 99),
    offset=INSTANTS,
    command=st.booleans(),
    counted=st.booleans(),
    corrects=INSTANTS,
    fields=FIELDS,
    side=FIELDS,
    operator=st.none() | st.text(),
    ip=st.none() | st.text(),
)
TEXT = st.text()
DEAD = st.builds(
    Dead, st.binary(), st.none() | st.binary(), TEXT, TEXT, TEXT, st.integers(0, 9), INSTANTS
)
REGISTRATIONS = st.builds(Registration, TEXT, TEXT, TEXT, INSTANTS, INSTANTS)
QUESTIONS = st.builds(Question, TEXT, TEXT, TEXT, FACTS)


@given(st.builds(OrderPiece, TEXT, INSTANTS, INSTANTS, st.lists(FACTS), st.lists(DEAD)))
def test_an_order_piece(piece: OrderPiece) -> None:
    assert pickle.loads(pickle.dumps(piece)) == piece  # noqa: S301 - bytewax does the same


@given(
    st.builds(NumberPiece, TEXT, INSTANTS, INSTANTS, st.lists(REGISTRATIONS), st.lists(QUESTIONS))
)
def test_a_number_piece(piece: NumberPiece) -> None:
    assert pickle.loads(pickle.dumps(piece)) == piece  # noqa: S301 - bytewax does the same


@given(st.lists(REGISTRATIONS))
def test_a_number_piece_of_the_compiled_door(registrations: list[Registration]) -> None:
    made = compiled.Registrations(encode_registrations(registrations))
    piece = NumberPiece("n00", 0, -1, [], [], [made])
    (again,) = pickle.loads(pickle.dumps(piece)).made  # noqa: S301 - bytewax does the same
    assert decode_registrations(again.packed()) == registrations
