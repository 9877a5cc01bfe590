"""The ingestion room: a dropped file becomes a version of a table; the tables belong to its functions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from infra.bundles import closure
from infra.constructs.external_table import ExternalTable, Partition
from infra.constructs.function import Function
from infra.constructs.machine import Machine
from infra.constructs.queue import Queue, feed
from infra.constructs.rule import Rule
from infra.constructs.statements import Statement, allow, list_objects, read_objects, read_versions, write_objects
from infra.context import REPOSITORY
from infra.machines import ingest
from infra.stacks.workload import WorkloadStack
from millrace.contract.odcs import check_contract
from millrace.contract.schema import FEEDS
from millrace.datasets.quarantine import COLUMNS
from millrace.files.origin import image_columns
from millrace.settings.drop import DropEnvironment
from millrace.settings.intake import IntakeSettings
from millrace.settings.snapshot import SnapshotSettings
from millrace.settings.validation import ValidationSettings
from millrace.workload.fit import check_fit

RECEIVES = 20
"""Deliveries of one drop before it is a dead letter: an hour of waiting for a free slot."""
TABLE_MEMORY_MB = 3008
TABLES = ("rows", "labels")


class IngestionStack(WorkloadStack):
    """Intake of every feed, the machine `ingest`, the snapshot function, the table of what was refused."""

    room = "ingestion"

    def build(self) -> None:
        contract = check_fit(self.context.workload, check_contract(self.context.folder))
        names = self.context.names
        self._lake, self._landing = self.context.platform.bucket("lake"), self.context.platform.bucket("landing")
        self._staging, self._iceberg = f"{names.workload}/staging/", f"{names.workload}/iceberg/"
        self._refused = [f"{names.workload}/quarantine/feed={feed}/" for feed in FEEDS]
        self._intake()
        # Drops may name objects of this folder in place of an image's bytes: `millrace.files.manifest`.
        self._ingestion([f"{names.workload}/objects/"] if image_columns(contract.rows) else [])
        self._validation()
        self._snapshot()
        Machine(
            self,
            "ingest",
            context=self.context,
            definition=ingest.definition(self.context),
            statements=ingest.statements(self.context),
        )
        ExternalTable(
            self,
            "quarantine",
            context=self.context,
            description="Rows that were refused, with the reason and where they stood",
            columns=COLUMNS,
            partitions=(Partition.of("feed", *FEEDS), Partition.by_date()),
        )

    def _intake(self) -> None:
        context, names = self.context, self.context.names
        queue = Queue(
            self, "drops", context=context, visibility_s=180, receives=RECEIVES, senders=["events.amazonaws.com"]
        )
        machines = [names.machine_arn(machine) for machine in ("ingest", "score")]
        executions = [names.execution_arn(machine) for machine in ("ingest", "score")]
        intake = Function(
            self,
            "intake",
            context=context,
            description="A dropped object starts the machine of its feed, once",
            settings=IntakeSettings(**context.environment(), dead_queue_url=f"{queue.url}-dead"),
            statements=[
                allow("states:StartExecution", on=machines),
                allow(
                    "states:DescribeExecution", on=executions, because="An execution is named by the digest of its drop"
                ),
                allow("sqs:SendMessage", on=queue.dead_arn),
                allow("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", on=queue.arn),
                self._state("UpdateItem"),
            ],
        )
        feed(self, queue, intake.arn, batch=10, window_s=0, concurrency=5, dependencies=[intake.resource])
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {
                "bucket": {"name": [self._landing]},
                "object": {"key": [{"prefix": f"{names.workload}/{feed}/"} for feed in FEEDS]},
            },
        }
        Rule(self, "drop", context=context, pattern=pattern, bus=None, dead=queue).to_queue(queue)

    def _ingestion(self, images: Sequence[str]) -> None:
        names = self.context.names
        scoring = f"{names.workload}/scoring/"
        Function(
            self,
            "ingestion",
            context=self.context,
            description="The bytes of a drop become typed rows; what cannot be parsed is kept raw",
            settings=DropEnvironment(**self.context.environment()),
            statements=[
                read_versions(self._landing, *(f"{names.workload}/{feed}/" for feed in FEEDS), *images),
                read_objects(self._landing, scoring, *images),
                list_objects(self._landing, scoring, *images),
                write_objects(self._lake, self._staging, *self._refused),
                self._state("GetItem"),
            ],
            timeout_s=900,
            memory_mb=TABLE_MEMORY_MB,
        )

    def _validation(self) -> None:
        Function(
            self,
            "validation",
            context=self.context,
            description="Typed rows are judged; the good ones are committed to their table or cut into shards",
            settings=ValidationSettings(**self.context.environment()),
            statements=[
                read_objects(self._lake, self._staging, self._iceberg),
                write_objects(self._lake, self._staging, self._iceberg, *self._refused),
                allow("glue:GetDatabase", on=self._catalogue()),
                self._tables("GetTable", "CreateTable", "UpdateTable", tables=TABLES),
                self._remove_manifests(TABLES),
                self._state("GetItem"),
            ],
            timeout_s=900,
            memory_mb=TABLE_MEMORY_MB,
        )

    def _snapshot(self) -> None:
        context, names = self.context, self.context.names
        artefacts = context.platform.bucket("artefacts")
        Function(
            self,
            "snapshot",
            context=context,
            description="A training run gets its rows, labels that came late included, and its configuration",
            settings=SnapshotSettings(**context.environment(), code_digest=self._code_digest()),
            statements=[
                read_objects(self._lake, self._iceberg, f"{names.workload}/decisions/"),
                list_objects(self._lake, f"{names.workload}/decisions/"),
                write_objects(self._lake, self._iceberg),
                write_objects(artefacts, f"{names.workload}/runs/"),
                allow("glue:GetDatabase", on=self._catalogue()),
                self._tables("GetTable", tables=TABLES),
                self._tables("UpdateTable", tables=["rows"]),
                self._remove_manifests(["rows"]),
                self._state("GetItem"),
            ],
            timeout_s=900,
            memory_mb=TABLE_MEMORY_MB,
        )

    def _tables(self, *actions: str, tables: Sequence[str]) -> Statement:
        """Iceberg tables are made and committed to in code: an update by CloudFormation would drop their pointer."""
        platform, names = self.context.platform, self.context.names
        account = f"arn:aws:glue:{platform.region}:{platform.account}"
        own = [f"{account}:table/{platform.database}/{names.table(table)}" for table in tables]
        return allow(*(f"glue:{action}" for action in actions), on=[*self._catalogue(), *own])

    def _catalogue(self) -> list[str]:
        """The database and what holds it, which every call on either asks for."""
        platform = self.context.platform
        account = f"arn:aws:glue:{platform.region}:{platform.account}"
        return [f"{account}:catalog", f"{account}:database/{platform.database}"]

    def _remove_manifests(self, tables: Sequence[str]) -> Statement:
        """A commit that lost takes its manifests away; data files are never deleted."""
        names = self.context.names
        metadata = [f"{self._iceberg}{names.table(table)}/metadata/*" for table in tables]
        return allow(
            "s3:DeleteObject",
            on=[f"arn:aws:s3:::{self._lake}/{path}" for path in metadata],
            because="pyiceberg names the manifests of a commit by a UUID; the data files beside them are out of reach",
        )

    def _state(self, *actions: str) -> Statement:
        platform = self.context.platform
        return allow(
            *(f"dynamodb:{action}" for action in actions),
            on=platform.table_arn(platform.state_table),
            where={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [self.context.names.workload]}},
        )

    def _code_digest(self) -> str:
        """Of the training image; of its sources while no image is built."""
        image = self.context.images["training"]
        if "@sha256:" in image:
            return image.partition("@sha256:")[2]
        files = sorted(closure(REPOSITORY, REPOSITORY / "jobs" / "training" / "__main__.py"))
        return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
