"""Former names of tests/support/{engine,outcome,samples}.py.

Attack programs kept outside this repository import them as `tests.dataflow.engine` and so on.
"""

import sys

from tests.support import engine, outcome, samples

for module in (engine, outcome, samples):
    sys.modules[f"{__name__}.{module.__name__.rpartition('.')[2]}"] = module
