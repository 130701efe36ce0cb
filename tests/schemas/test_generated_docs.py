"""The generated documents are as the code has them."""

from schemas.generate import DOCS, outdated


def test_schemas_and_asyncapi_are_current() -> None:
    assert outdated(DOCS) == [], "run: make docs"
