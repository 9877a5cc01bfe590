"""What a request may be, before its rows are looked at."""

import time

from millrace.functions.prediction import request


def test_a_field_that_comes_twice_is_found_at_once() -> None:
    fields = ",".join(f'"k{number}":1' for number in range(20_000))
    started = time.process_time()
    found = request.body({"requestContext": {}, "body": f'{{{fields},"z":1,"z":2}}'})
    assert time.process_time() - started < 1
    assert isinstance(found, request.Refusal)
    assert found.came == "the field 'z' twice in one object"
