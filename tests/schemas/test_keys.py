"""Keys and ids: what differs is named differently, the same is named the same for ever."""

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.keys import (
    DEFAULT_TENANT,
    SEPARATOR,
    action_id,
    alert_id,
    content_id,
    event_hash,
    order_key,
    split_order_key,
)

ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
anchors = st.integers(0, 2**64 - 1)


@given(ids, ids)
def test_an_order_key_leads_back_to_tenant_and_order(tenant: str, order_id: str) -> None:
    assert split_order_key(order_key(tenant, order_id)) == (tenant, order_id)


@given(st.tuples(ids, ids), st.tuples(ids, ids))
def test_two_orders_never_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (order_key(*one) == order_key(*other)) == (one == other)


def test_the_default_tenant_stays_out_of_the_key() -> None:
    assert order_key(DEFAULT_TENANT, "o1") == "o1"
    assert order_key("acme", "o1") == f"acme{SEPARATOR}o1"


@given(st.lists(ids, min_size=1, max_size=4), st.lists(ids, min_size=1, max_size=4))
def test_where_one_part_ends_is_part_of_an_id(one: list[str], other: list[str]) -> None:
    assert (content_id(*one) == content_id(*other)) == (one == other)


@given(st.tuples(ids, ids, anchors, ids), st.tuples(ids, ids, anchors, ids))
def test_ids_of_alerts_and_actions_never_collide(
    one: tuple[str, str, int, str], other: tuple[str, str, int, str]
) -> None:
    assume(one != other)
    found = {
        alert_id(*one),
        alert_id(*other),
        action_id(*one[:3], "call"),
        action_id(*one[:3], "mail"),
        action_id(*other[:3], "call"),
    }
    # Of two parcels with one anchor the action is the same.
    assert len(found) == 5 - (one[:3] == other[:3])


def test_hashes_are_the_same_on_every_machine_and_for_ever() -> None:
    """They lie in state, in the archive and at receivers."""
    assert event_hash("shop", "e1") == 16_297_217_737_359_625_602
    assert alert_id("o1", "unpaid", 1) == "08e51972fb4fad2eff9ea1915910c687"
    assert action_id("o1", "unpaid", 1, "call") == "fa31a2ac9073525b2ba88d1b9ce78f78"
