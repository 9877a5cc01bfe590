"""Whether 10,000 decisions act once each, while their consumer is down a tenth of the time.

`python -m benchmarks.consumers`, or with another number of decisions behind it. Requests go to the deployed
templates in the local cloud. The consumer is a receiver on loopback: it refuses every tenth POST after it has done what
the POST says, which is the worst way to fail.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import conclude
from millrace.console.demo.electricity import STORY
from millrace.console.local_cloud.local_cloud import LocalCloud, started
from tests.consumers import ELECTRICITY, with_consumers
from tests.receiver import Receiver, listening

DECISIONS, ROWS_PER_CALL, KNOWN = 10_000, 500, 11_500
REST_S = 1800.0


def run(decisions: int) -> dict[str, Any]:
    """The figures of `verdict`, of a cloud of its own."""
    receiver = Receiver("only the two of us know", down_every=10)
    with (
        listening(receiver),
        tempfile.TemporaryDirectory(prefix="millrace-consumers-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        crm = {
            "to": "webhook",
            "url": receiver.url,
            "secret": "crm",  # pragma: allowlist secret
            "batch": 10,
            "stages": ["local"],
        }
        root = Path(folder)
        with_consumers(root / "workloads", {"crm": crm})
        patch.setenv("MILLRACE_WORKLOADS", str(root / "workloads"))
        with started(root / "build", clock=STORY.start, workloads=[STORY.workload]) as cloud:
            receiver.clock = lambda: cloud.now().timestamp()
            cloud.client("secretsmanager").create_secret(Name="crm", SecretString=receiver.secret)
            train(cloud)
            begun = time.monotonic()
            made = [name for first in range(0, decisions, ROWS_PER_CALL) for name in decide(cloud, first)]
            cloud.wait(timeout_s=REST_S)
            took_s = time.monotonic() - begun
    return {
        "made": len(set(made)),
        "lost": len(set(made) - receiver.acted.keys()),
        # The receiver acts once for each id, so what acts on an id that nobody made would be the only second act.
        "twice": len(receiver.acted.keys() - set(made)),
        "repeated": sum(receiver.came.values()) - len(receiver.came),
        "failed": receiver.requests // receiver.down_every,
        "took_s": took_s,
    }


def train(cloud: LocalCloud) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(sample().slice(0, KNOWN), sink)
    bucket, key = STORY.names.platform.bucket("landing"), f"{STORY.workload}/training/known.parquet"
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=sink.getvalue().to_pybytes())
    cloud.wait(timeout_s=REST_S)


def decide(cloud: LocalCloud, first: int) -> list[str]:
    """The ids of the decisions of one request that act by themselves: all of them, as there is no policy."""
    # The same rows come again: a decision is another one by its id.
    rows = sample().slice(KNOWN + first % 5000, ROWS_PER_CALL).drop_columns(["class"]).to_pylist()
    payload = {"id": f"call-{first}", "rows": [row | {"timestamp": row["timestamp"].isoformat()} for row in rows]}
    answer = cloud.client("lambda").invoke(FunctionName=STORY.names.prediction, Payload=json.dumps(payload))
    found = json.load(answer["Payload"])
    assert "predictions" in found, found
    assert {one["action"] for one in found["predictions"] if "action" in one} <= {"automated"}, found["predictions"][0]
    return [one["id"] for one in found["predictions"]]


def sample() -> pa.Table:
    return pq.read_table(ELECTRICITY / "sample" / "elec2.parquet")


def verdict(
    *, made: int, lost: int, twice: int, failed: int, repeated: int = 0, decisions: int = DECISIONS, took_s: float = 0.0
) -> dict[str, Any]:
    """The result: each decision was made and has acted once, and the consumer has really failed."""
    return {
        "name": "consumers",
        "figure": lost + twice,
        "unit": f"of {decisions} decisions that acted not once",
        "bar": 0,
        "failed_posts": failed,
        "repeated": repeated,
        "took_s": round(took_s, 1),
        "holds": made == decisions and lost == twice == 0 and failed > 0,
    }


def main() -> None:
    """Print the figures; exits with 1 if a decision has acted twice or not at all."""
    decisions = int(sys.argv[1]) if len(sys.argv) > 1 else DECISIONS
    conclude(verdict(decisions=decisions, **run(decisions)))


if __name__ == "__main__":
    main()
