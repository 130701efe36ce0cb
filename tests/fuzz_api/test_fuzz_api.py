"""The API against its own OpenAPI document: generated requests of each role to a real server.

schemathesis makes requests that the document allows, and some that it doesn't, and compares every
answer with the document. A route gets 20 of them here; `make fuzz-api` tries everything.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests import Session
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.fuzz_api.__main__ import ENDLESS, EXCLUDED
from tests.fuzz_api.served import KNOWN, Served, served

Operation = APIOperation[Any, Any, Any, Any]
CASES = int(os.environ.get("ORDERTIDE_FUZZ_API_CASES", "20"))
load_all_checks()
CHECKED: list[Any] = [check for check in CHECKS.get_all() if check.__name__ not in EXCLUDED]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("fuzz-api")) as found:
        yield found


def modes_of(operation: Operation) -> list[GenerationMode]:
    """Both modes; the positive one alone where any text is valid, and so no request is invalid."""
    described = operation.definition.raw
    texts = all(
        each["in"] == "path" or each["schema"].get("type") == "string"
        for each in described["parameters"]
    )
    bodies = described.get("requestBody", {}).get("content", {}).values()
    is_any = texts and not any("schema" in each for each in bodies)
    return [GenerationMode.POSITIVE] if is_any else list(GenerationMode)


def fuzz(operation: Operation, mode: GenerationMode, gateway: Served, session: Session) -> None:
    roles = st.sampled_from(sorted(gateway.keys))

    @given(case=operation.as_strategy(mode), role=roles, data=st.data())
    @settings(
        max_examples=CASES // 2,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def answers(case: Case[Any], role: str, data: st.DataObject) -> None:
        for name in case.path_parameters or {}:
            if mode.is_positive and name in KNOWN:
                case.path_parameters[name] = data.draw(st.sampled_from(KNOWN[name]))
        headers = {"Authorization": f"Bearer {gateway.keys[role]}"}
        response = case.call(session=session, headers=headers)
        case.validate_response(response, checks=CHECKED)

    answers()


@pytest.mark.timeout(400)
def test_every_answer_is_as_the_document_says(gateway: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{gateway.url}/v1/openapi.json")
    found: list[str] = []
    results = list(schema.get_all_operations())
    operations = [result.ok() for result in results if isinstance(result, Ok)]
    assert len(operations) == len(results)
    assert len(operations) > 25
    with Session() as session:
        for operation in operations:
            if operation.path in ENDLESS:
                continue
            for mode in modes_of(operation):
                try:
                    fuzz(operation, mode, gateway, session)
                except FailureGroup as failure:
                    found.append(f"{operation.label} {mode.value}: {failure}")
    assert not found, "\n\n".join(found)
