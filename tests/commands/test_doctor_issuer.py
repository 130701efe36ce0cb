"""The doctor on the issuer: what it publishes, its clock, and what our client needs there."""

from collections.abc import Iterator

import pytest

from commands.doctor.findings import CheckContext, Finding
from commands.doctor.issuer import check
from schemas.settings.model import read_settings
from tests.support.issuer import AUDIENCE, CLIENT_ID, REDIRECT_URI, IssuerProcess


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerProcess]:
    with IssuerProcess() as running:
        yield running


def examined(**values: str) -> dict[str, Finding]:
    variables = {f"ORDERTIDE_{name.upper()}": value for name, value in values.items()}
    context = CheckContext(read_settings(None, variables), timeout_s=20.0)
    return {finding.subject: finding for finding in check(context)}


def test_an_issuer_that_is_well_and_none(issuer: IssuerProcess) -> None:
    found = examined(
        oidc_issuer=issuer.url,
        oidc_client_id=CLIENT_ID,
        oidc_audience=AUDIENCE,
        serve_public_url="http://board.test",
    )
    assert {each.level for each in found.values()} == {"ok"}
    assert found.keys() == {"reachable", "keys", "client", "API", "clock"}
    assert REDIRECT_URI in found["client"].found
    assert AUDIENCE in found["API"].found
    assert "keys and printed links alone" in examined()["issuer"].found


def test_an_issuer_that_cant_be_used(issuer: IssuerProcess) -> None:
    named = {"oidc_issuer": issuer.url, "oidc_client_id": CLIENT_ID}
    issuer.behave(metadata={"code_challenge_methods_supported": ["plain"]})
    assert examined(**named)["PKCE"].level == "warning"
    issuer.behave(metadata={"issuer": "https://login.test"})
    assert "to exactly that" in examined(**named)["issuer"].found
    unreachable = examined(**{**named, "oidc_issuer": "http://127.0.0.1:1/realm"})
    assert unreachable["reachable"].level == "problem"
    assert "[oidc] issuer" in unreachable["reachable"].remedy
    assert "client_id is missing" in examined(oidc_issuer=issuer.url)["settings"].found
