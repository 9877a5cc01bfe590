"""What one row costs in the prediction function, in CPU µs, without endpoint and network.

Run it as `python -m benchmarks.prediction`.

A call carries 48 rows of the electricity workload (a day). Included: reading the request, the contract on each row,
the endpoint's body and answer as text, decisions as lines, packing, the caller's answer. The best of many short rounds
is given, and their median beside it: other work on the machine lengthens rounds, it never shortens them.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import conclude
from tests.functions.cold_start import CONTEXT, variables

BAR_US = 30.0
ROUNDS, CALLS = 30, 20
EVENT = Path(__file__).resolve().parents[1] / "events" / "prediction.json"
ENVIRONMENT = variables(MILLRACE_DECISIONS_QUEUE_URL="https://sqs.eu-west-1.amazonaws.com/123456789012/decisions")


class Queue:
    """A queue that takes everything and keeps nothing."""

    def send_message_batch(self, **_: Any) -> dict[str, Any]:
        return {}


def verdict(*, cpu_us: float) -> dict[str, Any]:
    """The result: CPU µs per row against the bar."""
    figure = round(cpu_us, 1)
    return {"name": "prediction", "figure": figure, "unit": "CPU us per row", "bar": BAR_US, "holds": figure <= BAR_US}


def main() -> None:
    """Print the figure and, as the last line, the result as JSON; exits with 1 where the bar is missed."""
    os.environ.update(ENVIRONMENT)
    from millrace.decisions.endpoint import read_response
    from millrace.functions.prediction import handler as function

    one = {"value": 1, "probability": 0.7512345, "confidence": 0.7512345}

    def answer(body: bytes, rows: int) -> Any:
        found = json.dumps({"model_version": "3", "predictions": [one] * rows}).encode()
        return read_response(found, rows=rows, task=function.ROAD.task)

    function.ROAD.invoke, function.ROAD.sqs = answer, Queue()
    event = json.loads(EVENT.read_text())
    rows = len(event["rows"])
    assert len(function.handler(event, CONTEXT)["predictions"]) == rows
    rounds = []
    with contextlib.redirect_stdout(io.StringIO()):
        for _ in range(ROUNDS):
            started = time.process_time()
            for _ in range(CALLS):
                function.handler(event, CONTEXT)
            rounds.append((time.process_time() - started) / CALLS / rows * 1e6)
    print(f"{rows} rows a call: best round {min(rounds):.1f} CPU µs a row, median {median(rounds):.1f}")
    conclude(verdict(cpu_us=min(rounds)))


if __name__ == "__main__":
    main()
