"""Writes the inputs of a drift job: the request, the declaration, a manifest of the decisions, and the labels.

They lie in the lake below `<workload>/windows/<run>/`:

    config/      request.json, workload.yaml, contract.yaml
    decisions/   nothing.jsonl
    labels/      labels.parquet, nothing
    manifest.json
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow.parquet as pq

from millrace.aws.objects import at_once, read_object
from millrace.datasets.volume import volume_gb
from millrace.decisions.standing import threshold_of
from millrace.decisions.store import stored_objects
from millrace.features.known_past import repeats_labels
from millrace.functions.room import WorkloadRoom
from millrace.messages.asked_labels import AskedLabels
from millrace.messages.monitor import (
    REQUEST_FILE,
    FloorNow,
    MonitorRequest,
    PromiseNow,
    Window,
    WindowsPlanned,
    read_report,
)
from millrace.monitoring.windows import dates
from millrace.names import WorkloadNames
from millrace.settings.environment import Environment
from millrace.state.pointers import Version
from millrace.state.versions import FloorState, KeptPromise
from millrace.state.wanted import StoredChoice

if TYPE_CHECKING:
    import pyarrow as pa

NOTHING = "decisions/nothing.jsonl"
"""An empty file that every manifest names. SageMaker refuses an empty manifest, and a window may have no decision."""

COPIES = 2
"""The job's files: what it reads, and as much room."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The folder of one run in the lake. `s3` is boto3's client."""

    s3: Any
    names: WorkloadNames
    run: str
    """The execution's name."""

    def write(
        self,
        request: MonitorRequest,
        *,
        folder: Path,
        windows: tuple[Window, ...],
        labels: pa.Table | None,
        champion: Version,
    ) -> WindowsPlanned:
        """Write the inputs, and return their URIs. A second run with the same name writes the same objects again."""
        self._put(f"config/{REQUEST_FILE}", request.model_dump_json(indent=1).encode())
        for name in ("workload.yaml", "contract.yaml"):
            self._put(f"config/{name}", (folder / name).read_bytes())
        # The folder of labels has a file too, so that it is there without any label.
        self._put(NOTHING, b"")
        self._put("labels/nothing", b"")
        if labels is not None:
            self._put("labels/labels.parquet", _parquet(labels))
        # Decisions are not copied: the manifest names the objects of all days that the windows touch.
        stored = stored_objects(self.s3, self._bucket, self.names.workload, dates(windows))
        files = stored.files(self.names.workload)
        self._put("manifest.json", json.dumps(self._manifest([*stored.keys, *files])).encode())
        return WindowsPlanned(
            count=len(windows),
            decisions=len(stored.keys),
            labels=labels.num_rows if labels else 0,
            model_version=champion.version,
            volume_gb=volume_gb(COPIES * (stored.bytes + self._bytes(files))),
            manifest_uri=self._uri("manifest.json"),
            labels_uri=self._uri("labels/"),
            config_uri=self._uri("config/"),
            baseline_uri=champion.baseline_uri,
            report_uri=self.names.lake_uri("monitor", f"run={self.run}"),
        )

    def _bytes(self, keys: list[str]) -> int:
        """The size of these objects together. One that is gone is missed by the job, too."""
        sizes = list[int]()

        def look(key: str) -> None:
            listed = self.s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
            sizes.extend(entry["Size"] for entry in listed.get("Contents", ()))

        at_once(look, keys)
        return sum(sizes)

    def _manifest(self, keys: list[str]) -> list[Any]:
        """A ManifestFile: a prefix, then the rest of each key.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html"""
        shared = f"{self.names.workload}/"
        paths = [key.removeprefix(shared) for key in [self._key(NOTHING), *keys]]
        return [{"prefix": f"s3://{self._bucket}/{shared}"}, *paths]

    @property
    def _bucket(self) -> str:
        return self.names.platform.bucket("lake")

    def _key(self, path: str) -> str:
        return f"{self.names.workload}/windows/{self.run}/{path}"

    def _uri(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._key(path)}"

    def _put(self, path: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self._bucket, Key=self._key(path), Body=body)


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def request_of(
    room: WorkloadRoom[Environment], s3: Any, champion: Version, windows: Sequence[Window], *, as_of: datetime
) -> MonitorRequest:
    """The request of one run. `s3` is boto3's client."""
    asked = _asked(room, s3, windows)
    return MonitorRequest(
        workload=room.names.workload,
        as_of=as_of,
        model_version=champion.version,
        baseline_digest=champion.baseline_digest,
        windows=tuple(window.model_copy(update={"asked": asked.get(window.start)}) for window in windows),
        promise=_promise(room, champion),
        floor=_floor(room, champion),
        registered_at=_registered_at(room, champion),
    )


def _promise(room: WorkloadRoom[Environment], champion: Version) -> PromiseNow | None:
    """What the champion's acting answers promise now; None if the workload promises nothing, or nothing may act."""
    policy = room.workload.policy
    if policy is None or (promised := policy.promised_error) is None:
        return None
    threshold = threshold_of(policy.automate, champion, KeptPromise.find(room.state, champion.version))
    return None if threshold is None else PromiseNow(promised_error=promised, threshold=threshold)


def _floor(room: WorkloadRoom[Environment], champion: Version) -> FloorNow | None:
    """What the champion is held against; None without a floor, or if the rule's answer is not known."""
    has_rule = champion.rule_answer or repeats_labels(room.workload)
    if not (room.workload.policy and room.workload.policy.floor and has_rule):
        return None
    known, rule = FloorState.find(room.state, champion.version), json.loads(champion.rule_answer or "null")
    if known is None:
        return FloorNow(rule=rule)
    # If the rule answers since an alarm, no label has decided yet: as few decide as if the version answered.
    return FloorNow(rule=rule, below=known.below and not known.awaits_labels, days=known.days)


def _asked(room: WorkloadRoom[Environment], s3: Any, windows: Sequence[Window]) -> dict[datetime, AskedLabels]:
    """The labels that people were asked for, by the start of their window, as earlier runs have chosen them."""
    if not (room.workload.policy and room.workload.policy.labels_a_day):
        return {}
    began = [one.start for one in windows if not one.judge_input]
    chosen = {start: choice for start in began if (choice := StoredChoice.find(room.state, start))}
    # One run has chosen for several windows: its report is read once.
    chances = {
        (uri, window.start): {one.id: one.chance for one in window.wanted}
        for uri in {choice.report_uri for choice in chosen.values()}
        for window in read_report(read_object(s3, uri)).windows
    }
    return {
        start: AskedLabels(until=choice.until, chances=chances[choice.report_uri, start])
        for start, choice in chosen.items()
    }


def _registered_at(room: WorkloadRoom[Environment], champion: Version) -> datetime | None:
    """When the champion was registered, by when it had been trained; None if the workload ranks no label errors."""
    if not (room.workload.policy and room.workload.policy.label_errors_a_day):
        return None
    package = boto3.client("sagemaker").describe_model_package(ModelPackageName=champion.package_arn)
    made: datetime = package["CreationTime"]
    return made
