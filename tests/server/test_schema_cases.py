"""A few requests of ``schema_cases`` for every operation that has a body; the command makes thousands for all."""

import pytest
from tests.server.whole import whole_server
from tests.spec import PATH

pytest.importorskip("schemathesis")
if not PATH.exists():
    pytest.skip("OpenAI's specification is not at hand", allow_module_level=True)


def test_requests_made_up_from_the_specification_are_answered_by_it(tmp_path):
    from tests.server.schema_cases import operations, run

    with whole_server(tmp_path) as whole:
        found = [operation for operation in operations() if operation.body]
        tally = run(whole, found, cases=2 * len(found))

    assert tally.sent >= 20
    assert tally.faults == {}
