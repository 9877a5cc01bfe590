"""How old each step from the data to its consumers is, and by when the next one is due."""

from datetime import timedelta
from pathlib import Path
from shutil import copytree

import boto3
import pytest
import time_machine

from millrace.console.environment import find_environment
from millrace.console.queries.freshness import find_freshness
from millrace.contract.load import load_contract
from millrace.datasets import compaction, iceberg
from millrace.datasets.tables import Lake
from millrace.operations.dead_letters import dead
from tests.console import stored_cloud
from tests.console.stored_cloud import NAMES, NOW, PLATFORM
from tests.millrace.datasets.test_labels import NEW, drop_labels, drop_rows


def test_each_step_has_its_age_and_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "workloads" / "electricity"
    copytree(stored_cloud.DECLARED, folder)
    with (folder / "contract.yaml").open("a") as contract:
        contract.write("slaProperties:\n  - {property: latency, value: 2, unit: d, element: rows.timestamp}\n")
    iceberg.s3_client.cache_clear()
    monkeypatch.setattr(compaction, "FEWEST", 2)
    with stored_cloud.running(MILLRACE_WORKLOADS=str(folder.parent)) as report:
        boto3.client("glue").create_database(DatabaseInput={"Name": PLATFORM.database})
        lake, sqs = Lake(NAMES, load_contract(folder)), boto3.client("sqs")
        drop_rows(lake, 4, day=1)
        for number in range(2):
            drop_labels(lake, tmp_path, f"{number}", [NEW], day=1, first=number)
        for name in ("crm", "erp"):
            queue = NAMES.queue(f"consumer-{name}")
            sqs.create_queue(QueueName=NAMES.queue(dead(f"consumer-{name}")))
            url = sqs.create_queue(QueueName=queue)["QueueUrl"]
            named = {"MetricName": "NumberOfMessagesDeleted", "Dimensions": [{"Name": "QueueName", "Value": queue}]}
            data = [named | {"Value": sent, "Timestamp": NOW - timedelta(hours=ago)} for sent, ago in ((3, 50), (0, 1))]
            boto3.client("cloudwatch").put_metric_data(Namespace="AWS/SQS", MetricData=data)
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        with time_machine.travel(NOW + timedelta(days=2), tick=False):
            # Files that are put together are no news.
            assert compaction.compact(lake, "labels")
            found = tuple(find_freshness(find_environment("dev", Path("build")), NAMES, report.runs))
    assert {one.name: (one.state, one.age, one.bound) for one in found} == {
        # The newest row is of 7 May 1996, whenever it came.
        "drop": ("late", "54 days", "late for 456 days"),
        "commit": ("ok", "2 days", ""),
        "training": ("ok", "38 days", ""),
        "live version": ("ok", "85 days", ""),
        "decisions": ("ok", "2 days", ""),
        "monitor window": ("late", "44 days", "late for 30 days"),
        "labels": ("late", "2 days", "late for 3 days"),
        "to crm": ("ok", "4 days", ""),
        "to erp": ("late", "4 days", "late for 4 days"),
    }
