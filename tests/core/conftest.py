"""Everything about the core is claimed of the Python core alone and with the native step."""

from collections.abc import Iterator

import pytest

from dataflows.compiled import native
from tests.core import stage


@pytest.fixture(scope="module", params=["python", "native"], autouse=True)
def step(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which step the module's tests run with; `make native` installs the native one."""
    stage.NATIVE = native() if request.param == "native" else None
    if request.param == "native" and stage.NATIVE is None:
        pytest.skip("ordertide-native isn't installed: make native")
    yield request.param
    stage.NATIVE = None
