"""Reads the metrics that functions write into their logs in the embedded metric format, one JSON object a line.

    {"_aws": {"Timestamp": 1574109732004, "CloudWatchMetrics": [{"Namespace": "Millrace", "Dimensions": [["Workload"]],
     "Metrics": [{"Name": "Rows", "Unit": "Count"}]}]}, "Workload": "xray", "Rows": 7}

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.kernel.cloud import Cloud


class LogMetrics:
    """Reads the lines that functions have added to their logs since the last look."""

    def __init__(self, cloud: Cloud, put: Callable[[Cloud, str, list[dict[str, Any]]], None]) -> None:
        """`put(cloud, namespace, data)` takes the data of one namespace, as PutMetricData has them."""
        self._cloud = cloud
        self._put_data = put
        self._read_to: dict[Path, int] = defaultdict(int)
        """How many bytes of each log were read."""
        self._lock = threading.Lock()

    def read(self, function: Any, _outcome: Any) -> None:
        """Put the metrics in the function's new log lines. Called before the function's caller gets the answer."""
        log = self._cloud.workspace / "logs" / "functions" / f"{function.function_name}.log"
        with self._lock:
            for line in self._new_lines(log):
                # A cheap test: most lines are no metrics.
                if '"_aws"' in line:
                    self._put(line)

    def _new_lines(self, log: Path) -> list[str]:
        with log.open("rb") as file:
            file.seek(self._read_to[log])
            text = file.read()
        # A line without its end is still being written: it stays for the next look.
        complete = text[: text.rfind(b"\n") + 1]
        self._read_to[log] += len(complete)
        return complete.decode(errors="replace").splitlines()

    def _put(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return
        happened = entry["_aws"].get("Timestamp", 0) / 1000
        for directive in entry["_aws"].get("CloudWatchMetrics", ()):
            data = list(_data(entry, directive, datetime.fromtimestamp(happened, UTC).replace(tzinfo=None)))
            if data:
                self._put_data(self._cloud, directive["Namespace"], data)


def _data(entry: Mapping[str, Any], directive: Mapping[str, Any], when: datetime) -> Iterator[dict[str, Any]]:
    """Yields one datum of PutMetricData for each metric and each set of dimensions."""
    for metric in directive.get("Metrics", ()):
        value = entry.get(metric["Name"])
        if value is None:
            continue
        for names in directive.get("Dimensions") or [[]]:
            yield {
                "MetricName": metric["Name"],
                "Values": [float(one) for one in (value if isinstance(value, list) else [value])],
                "Unit": metric.get("Unit", "None"),
                "Dimensions": [{"Name": name, "Value": str(entry[name])} for name in names],
                "Timestamp": when,
            }
