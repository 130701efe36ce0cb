"""Places for tests in a real Elasticsearch: a prefix of their own, cleared afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from elasticsearch import Elasticsearch

from commands.wiring.definitions import vocabulary_of
from schemas.search import AttributeType
from schemas.settings.model import Settings
from storage_tiering.warm.elastic.access import connect
from storage_tiering.warm.elastic.periods import names_with
from storage_tiering.warm.elastic.templates import Change
from storage_tiering.warm.elastic.tier import ElasticTier
from tests.support import stack


@contextmanager
def shared_place(**attributes: AttributeType) -> Iterator[tuple[str, str]]:
    """(URL, prefix) in the running stack's Elasticsearch, with templates for these attributes."""
    url, prefix = stack.address("elasticsearch")["url"], stack.namespace()
    install(url, prefix, **attributes)
    try:
        yield url, prefix
    finally:
        clear(url, prefix)


def install(url: str, prefix: str, **attributes: AttributeType) -> list[Change]:
    """Install the templates as `ordertide tier init` does, with more declared attributes."""
    tier = ElasticTier(connect(url), prefix)
    vocabulary = vocabulary_of(Settings())
    declared = vocabulary.attributes | attributes
    vocabulary = msgspec.structs.replace(vocabulary, attributes=declared)
    changes = [*tier.templates.install(vocabulary, tier.periods, tier.letter_periods)]
    tier.close()
    return changes


def clear(url: str, prefix: str) -> None:
    """Take away everything with the prefix: a node has room for a thousand shards only."""
    with connect(url).options(ignore_status=404) as client:
        drop_indices(client, prefix)
        client.indices.delete_index_template(name=f"{prefix}-*")
        client.cluster.delete_component_template(name=f"{prefix}-*")


def drop_indices(client: Elasticsearch, prefix: str) -> None:
    """Take away the indices with the prefix."""
    if indices := sorted(client.indices.get_alias(index=f"{prefix}-*").body):
        client.indices.delete(index=indices)


def indices_of(client: Elasticsearch, prefix: str) -> set[str]:
    """The names of the indices that are there, without the prefix."""
    found = client.indices.get_alias(index=names_with(prefix).all_periods)
    return {name.removeprefix(f"{prefix}-") for name in found}


def need_elasticsearch() -> None:
    """Skip the test, which starts an Elasticsearch of its own, unless that of the stack runs."""
    stack.address("elasticsearch")
