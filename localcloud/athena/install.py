"""Amazon Athena: queries over the tables of the catalogue.

AWS does: run SQL in Trino's dialect over Iceberg and Hive tables, by the permissions of the caller, and leave the
    result in S3. A workgroup says where it lies, under which key, and how many bytes a query may scan.
moto does: keep the query, and answer with results that a test has queued.
We do: read the table's own files, as Glue names them, with the caller's keys. sqlglot translates the query, duckdb runs
    it.
Weaker: SELECT and UNLOAD as Parquet only. Functions and types are those that sqlglot and
    duckdb know. No federated sources, no registered partitions, no reuse of results. Whole tables are in
    memory.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import ClientError

from localcloud.athena.errors import QueryError, ScanLimitError, denied
from localcloud.kernel import patching
from localcloud.kernel.cloud import Cloud, moto_backend
from localcloud.kernel.dispatcher import dispatcher
from localcloud.kernel.quotas import quota
from localcloud.kernel.transport import connect

if TYPE_CHECKING:
    from localcloud.athena.statements import Result, Statement
    from localcloud.athena.tables import TableReader

# Query executions: each runs in the background by the permissions of its caller, and leaves its result in S3.
#
# A query is QUEUED, then RUNNING, and ends as SUCCEEDED, FAILED or CANCELLED. It is CANCELLED if it is stopped, if it
# would scan more bytes than it may, or if the cloud ends.

OVER = ("SUCCEEDED", "FAILED", "CANCELLED")
"""The states in which a query has ended."""
MOST_ROWS = quota("athena", "page")
"""The most rows on one page of GetQueryResults."""


@dataclass(kw_only=True)
class Execution:
    """One query and how far it is."""

    id: str
    statement: Statement
    schema: str
    workgroup: Any
    output: str
    """The URI of the file with its result."""
    encryption: dict[str, str]
    """The member EncryptionConfiguration of its ResultConfiguration, if it has one."""
    clients: dict[str, Any]
    """Clients of `glue` and `s3` with the keys of the caller."""
    submitted: datetime
    state: str = "QUEUED"
    reason: str = ""
    completed: datetime | None = None
    result: Result | None = None
    scanned: int = 0
    """Bytes."""
    connection: Any = None
    """The connection of duckdb while the query runs on it. Another thread interrupts the query by it."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards `state`: of those who want to end a query at once, the first one does."""

    def described(self) -> dict[str, Any]:
        """The execution as GetQueryExecution answers it."""
        end = self.completed or self.submitted
        took = round((end - self.submitted).total_seconds() * 1000)
        status: dict[str, Any] = {"State": self.state, "SubmissionDateTime": self.submitted.timestamp()}
        if self.completed:
            status["CompletionDateTime"] = self.completed.timestamp()
        if self.reason:
            status["StateChangeReason"] = self.reason
        return {
            "QueryExecutionId": self.id,
            "Query": self.statement.text,
            "StatementType": "DML",
            "ResultConfiguration": {"OutputLocation": self.output, **self.encryption},
            "QueryExecutionContext": {"Database": self.schema, "Catalog": "awsdatacatalog"},
            "Status": status,
            "Statistics": {
                "EngineExecutionTimeInMillis": took,
                "DataScannedInBytes": self.scanned,
                "TotalExecutionTimeInMillis": took,
            },
            "WorkGroup": self.workgroup.name,
            "EngineVersion": self.workgroup.configuration["EngineVersion"],
        }


@dataclass(kw_only=True)
class Executions:
    """The cloud's queries. moto's own backend keeps all of them by their ids."""

    cloud: Cloud
    running: list[Execution] = field(default_factory=list)
    """Those that a thread works on."""

    def start(self, response: Any) -> str:
        """Accept the query of a request and return its id. The query runs on a thread of the dispatcher.

        Raises QueryError for an unknown workgroup, a statement that cannot be run, or no place for the result."""
        given = json.loads(response.body)
        group = _workgroup(given.get("WorkGroup", "primary"))
        from localcloud.athena.statements import parse

        statement = parse(given["QueryString"])
        name = str(uuid.uuid4())
        location, encryption = _output(group.configuration, given.get("ResultConfiguration") or {})
        execution = Execution(
            id=name,
            statement=statement,
            schema=(given.get("QueryExecutionContext") or {}).get("Database", "default").lower(),
            workgroup=group,
            output=f"{location.rstrip('/')}/{name}{'' if statement.to else '.csv'}",
            encryption=encryption,
            clients=_clients_of(response, self.cloud),
            submitted=self.cloud.clock.now(),
        )
        response.athena_backend.executions[name] = execution
        dispatcher(self.cloud).submit(f"query {name}", lambda: self._run(execution))
        return name

    def stop(self, execution: Execution) -> None:
        """Cancel the query, unless it has ended."""
        with execution.lock:
            if execution.state in OVER:
                return
            self._end(execution, "CANCELLED", "Query cancelled by user")
        # The answer does not wait until duckdb has stopped.
        dispatcher(self.cloud).submit(f"stop of query {execution.id}", lambda: self._interrupt(execution))

    def stop_all(self) -> None:
        """Cancel all running queries at the end of the cloud, and return when none runs."""
        for execution in list(self.running):
            with execution.lock:
                self._end(execution, "CANCELLED", "The cloud ends")
            self._interrupt(execution)

    def _interrupt(self, execution: Execution) -> None:
        """Interrupt the query until it has ended."""
        # Again and again: the query may be about to begin, and duckdb forgets an interrupt that comes before.
        import duckdb

        while execution in self.running:
            with suppress(duckdb.ConnectionException):  # the query has just ended and closed its connection
                if (connection := execution.connection) is not None:
                    connection.interrupt()
            time.sleep(0.01)

    def _run(self, execution: Execution) -> None:
        # The query may have been stopped before its turn came.
        with execution.lock:
            if execution.state in OVER:
                return
            execution.state = "RUNNING"
        self.running.append(execution)
        state, reason = "SUCCEEDED", ""
        try:
            execution.result = self._answer(execution)
        except ScanLimitError as error:
            state, reason = "CANCELLED", str(error)
        except (QueryError, NotImplementedError) as error:
            state, reason = "FAILED", str(error)
        except Exception as error:
            state, reason = "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}: {error}"
        finally:
            execution.connection = None
            self.running.remove(execution)
        # A query that was stopped meanwhile stays CANCELLED, whatever became of it.
        with execution.lock:
            if execution.state not in OVER:
                self._end(execution, state, reason)

    def _answer(self, execution: Execution) -> Result:
        # What reads and writes files is imported with the first query: it takes seconds.
        from localcloud.athena.result_files import column_info, to_csv
        from localcloud.athena.statements import run
        from localcloud.athena.tables import TableReader
        from localcloud.athena.unload import unload

        def reader(database: Any) -> TableReader:
            return TableReader(**execution.clients, database=database, now=self.cloud.clock.now())

        # First the connection, then the look at the state: a stop that comes after the look can interrupt.
        def started(database: Any) -> None:
            execution.connection = database
            if execution.state in OVER:
                raise QueryError(execution.reason)

        limit = execution.workgroup.configuration.get("BytesScannedCutoffPerQuery")
        result = run(execution.statement, execution.schema, reader, limit=limit, started=started)
        execution.scanned = result.scanned
        bucket, _, key = execution.output.removeprefix("s3://").partition("/")
        described = {"columns": column_info(result)}
        name, text = key, to_csv(result)
        if execution.statement.to:
            s3, now = execution.clients["s3"], self.cloud.clock.now()
            uris = unload(s3, execution.statement, result, query=execution.id, now=now)
            name, text = f"{key}-manifest.csv", "".join(f"{uri}\n" for uri in uris)
            result = replace(result, rows=result.rows.slice(0, 0))
        try:
            for file, body in ((name, text), (f"{key}.metadata", json.dumps(described))):
                execution.clients["s3"].put_object(
                    Bucket=bucket, Key=file, Body=body.encode(), **_encrypted(execution.encryption)
                )
        except ClientError as error:
            raise denied(f"Unable to verify/create output bucket {bucket}", error) from None
        return result

    def _end(self, execution: Execution, state: str, reason: str) -> None:
        execution.completed = self.cloud.clock.now()
        execution.state, execution.reason = state, reason


def install(cloud: Cloud) -> None:
    """Replace moto's answers about queries, and add what it lacks about workgroups.

    It may go when moto itself runs queries over the files of the tables."""
    kept = Executions(cloud=cloud)
    cloud.at_stop(kept.stop_all)

    def start(response: Any) -> Any:
        try:
            return json.dumps({"QueryExecutionId": kept.start(response)})
        except QueryError as error:
            return _invalid(str(error))

    def get(response: Any) -> Any:
        found = _find(response)
        return json.dumps({"QueryExecution": found.described()}) if found else _unknown(response)

    def results(response: Any) -> Any:
        found = _find(response)
        return _page(found, json.loads(response.body)) if found else _unknown(response)

    def stop(response: Any) -> Any:
        found = _find(response)
        if found is None:
            return _unknown(response)
        kept.stop(found)
        return "{}"

    answers = {"start_query_execution": start, "get_query_execution": get, "get_query_results": results}
    more = {"stop_query_execution": stop, "get_work_group": _get_workgroup, "update_work_group": _update_workgroup}
    patching.replace(import_module("moto.athena.responses").AthenaResponse, **answers, **more)


def _find(response: Any) -> Execution | None:
    found: Execution | None = response.athena_backend.executions.get(json.loads(response.body)["QueryExecutionId"])
    return found


def _page(execution: Execution, given: dict[str, Any]) -> Any:
    # Athena's first row of a query has the names of the columns. The token is the index of the next page's first row.
    if execution.state != "SUCCEEDED" or execution.result is None:
        said = "Query has not yet finished" if execution.state not in OVER else "Query did not finish successfully"
        return _invalid(f"{said}. Final query state: {execution.state}")
    from localcloud.athena.result_files import column_info, rows_of

    head = [] if execution.statement.to else [execution.result.rows.schema.names]
    rows = [*head, *rows_of(execution.result)]
    first, most = int(given.get("NextToken") or 0), int(given.get("MaxResults") or MOST_ROWS)
    data = [{"Data": [{} if cell is None else {"VarCharValue": cell} for cell in row]} for row in rows[first:][:most]]
    more = {"NextToken": str(first + most)} if first + most < len(rows) else {}
    described = {"ColumnInfo": column_info(execution.result)}
    return json.dumps({"UpdateCount": 0, "ResultSet": {"Rows": data, "ResultSetMetadata": described}, **more})


def _output(configuration: dict[str, Any], given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The folder of the result, and its encryption as a member of ResultConfiguration.

    Both are the workgroup's if it enforces them or the query names no folder, else the query's. Raises QueryError if
    nobody names a folder.
    https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings-override.html"""
    own = configuration.get("ResultConfiguration") or {}
    wanted = own if configuration["EnforceWorkGroupConfiguration"] or not given.get("OutputLocation") else given
    if not wanted.get("OutputLocation"):
        raise QueryError(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    encryption = wanted.get("EncryptionConfiguration")
    return wanted["OutputLocation"], {"EncryptionConfiguration": encryption} if encryption else {}


def _encrypted(encryption: dict[str, Any]) -> dict[str, str]:
    """The arguments of PutObject by which the result is encrypted as the configuration says."""
    found = encryption.get("EncryptionConfiguration", {})
    if found.get("EncryptionOption") != "SSE_KMS":
        return {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": found["KmsKey"]}


def _clients_of(response: Any, cloud: Cloud) -> dict[str, Any]:
    """Clients of `glue` and `s3` with the keys of the caller: Athena reads the catalogue and S3 by its permissions.

    https://docs.aws.amazon.com/athena/latest/ug/s3-permissions.html"""
    # The guard of roles looks at access key and token; nobody checks signatures, so the secret may be any text.
    keys = {
        "aws_access_key_id": response.get_access_key(),
        "aws_secret_access_key": "local",
        "aws_session_token": response.headers.get("X-Amz-Security-Token"),
    }
    return {
        service: connect(
            boto3.client(service, endpoint_url=cloud.endpoint_url, region_name=cloud.region, **keys), cloud.application
        )
        for service in ("glue", "s3")
    }


def _workgroup(name: str) -> Any:
    found = moto_backend("athena").work_groups.get(name)
    if found is None:
        raise QueryError(f"WorkGroup {name} is not found.")
    return found


def _get_workgroup(response: Any) -> Any:
    name = json.loads(response.body)["WorkGroup"]
    found = response.athena_backend.get_work_group(name)
    return json.dumps({"WorkGroup": found}) if found else _invalid(f"WorkGroup {name} is not found.")


def _update_workgroup(response: Any) -> Any:
    """Change the settings of the workgroup that the request names; all others stay.

    An empty string takes away a setting of the result's configuration."""
    given = json.loads(response.body)
    try:
        group = _workgroup(given["WorkGroup"])
    except QueryError as error:
        return _invalid(str(error))
    updates = dict(given.get("ConfigurationUpdates") or {})
    result = updates.pop("ResultConfigurationUpdates", {})
    engine = updates.pop("EngineVersion", None)
    configuration = group.configuration | updates
    configuration["ResultConfiguration"] = {**configuration.get("ResultConfiguration", {}), **result}
    if engine:
        selected = engine["SelectedEngineVersion"]
        configuration["EngineVersion"] = {"SelectedEngineVersion": selected, "EffectiveEngineVersion": selected}
    group.configuration = configuration
    group.description = given.get("Description", group.description)
    return "{}"


def _unknown(response: Any) -> Any:
    return _invalid(f"QueryExecution {json.loads(response.body)['QueryExecutionId']} was not found")


def _invalid(message: str) -> tuple[str, dict[str, int]]:
    return json.dumps({"__type": "InvalidRequestException", "Message": message}), {"status": 400}
