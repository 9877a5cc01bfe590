"""What one row costs in the prediction function, in CPU µs, without endpoint and network.

Run it as `python -m benchmarks.prediction`.

A call carries 48 rows of the electricity workload (a day). Included: reading the request, the contract on each row,
the endpoint's body and answer as text, decisions as lines, packing, the caller's answer. The best of many short rounds
is given: other work on the machine lengthens rounds, it never shortens them. The same of a
function that runs the version itself comes first, with what its model costs and all that is measured of each row.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from time import process_time
from timeit import Timer
from types import SimpleNamespace
from typing import Any

from benchmarks import conclude
from tests.functions.cold_start import CONTEXT, variables

BAR_US = 30.0
ROUNDS, CALLS = 30, 20
EVENT = Path(__file__).resolve().parents[1] / "events" / "prediction.json"
ENVIRONMENT = variables(MILLRACE_DECISIONS_QUEUE_URL="https://sqs.eu-west-1.amazonaws.com/123456789012/decisions")


QUEUE = SimpleNamespace(send_message_batch=lambda **_: {})
"""A queue that takes everything and keeps nothing."""


def verdict(*, cpu_us: float) -> dict[str, Any]:
    """The result: CPU µs per row against the bar."""
    figure = round(cpu_us, 1)
    return {"name": "prediction", "figure": figure, "unit": "CPU us per row", "bar": BAR_US, "holds": figure <= BAR_US}


def main() -> None:
    """Print the figure and, as the last line, the result as JSON; exits with 1 where the bar is missed."""
    os.environ.update(ENVIRONMENT)
    from millrace.decisions.endpoint import read_response
    from millrace.decisions.hosted import HostedModels, StoredModel
    from millrace.functions.prediction import handler as function
    from tests.functions.test_ends import subject

    one = {"value": 1, "probability": 0.7512345, "confidence": 0.7512345}

    def answer(body: bytes, rows: int) -> Any:
        found = json.dumps({"model_version": "3", "predictions": [one] * rows}).encode()
        return read_response(found, rows=rows, task=function.ROAD.task)

    function.ROAD.sqs, of = QUEUE, subject("electricity")
    body = SimpleNamespace(iter_chunks=lambda _: [of.archive])
    models = HostedModels(SimpleNamespace(get_object=lambda **_: {"Body": body}), memory_mb=1024)
    live = StoredModel(version="3", model_data_url="s3://bucket/key", model_digest=of.digest)
    event = json.loads(EVENT.read_text())
    rows = len(event["rows"])
    for name, invoke in (("a function", models.connect(function.ROAD.task, lambda: live)), ("an endpoint", answer)):
        function.ROAD.invoke = invoke
        assert {one["fallback"] for one in function.handler(event, CONTEXT)["predictions"]} == {False}
        timer = Timer(lambda: function.handler(event, CONTEXT), "import gc; gc.enable()", process_time)
        with contextlib.redirect_stdout(io.StringIO()):
            best = min(timer.repeat(ROUNDS, CALLS)) / CALLS / rows * 1e6
        print(f"{rows} rows, {name}: best round {best:.1f} CPU µs a row")
    conclude(verdict(cpu_us=best))


if __name__ == "__main__":
    main()
