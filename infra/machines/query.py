"""The machine `query`: Athena runs a declared query, and the files of its rows become drops of a feed.

A list of the files is the drop of all small ones, and a large one is a drop of its own.

https://docs.aws.amazon.com/athena/latest/ug/unload.html says what follows from UNLOAD:

- The folder must be empty, so each run, retry and redrive has a folder of its own.
- It writes several files at once. Manifest and metadata lie with the results of queries, and are no drops.
- A query that fails midway leaves the files that it has written. So it writes them aside, and those of a query that has
  ended are copied to the feed; a redrive copies those that are missing."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.infra.context import Context
from millrace.infra.iam import iceberg, key
from millrace.infra.iam.buckets import LAKE, LANDING
from millrace.infra.iam.resource import Statement, resource
from millrace.infra.machines import states
from millrace.infra.machines.calls import call
from millrace.infra.machines.states import Definition, State
from millrace.messages.ingest import LISTED
from millrace.names import QUERY, QUERY_RESULTS, TABLES
from millrace.workload.ends import AS_OF, Query

TIMEOUT_S = 2 * 3600
"""Athena ends a query itself after half an hour. https://docs.aws.amazon.com/athena/latest/ug/service-limits.html"""
OWN_TABLES = (
    *TABLES,
    "quarantine",
    "decisions",
    "decisions_absorbed",
    "decisions_scored",
    "every_decision",
    "predictions",
)
"""The tables of the workload itself, which each of its queries may read."""
OWN_FOLDERS = ("iceberg", "quarantine", "decisions", "predictions")
READ_TABLE = ("GetDatabase", "GetTable", "GetPartition", "GetPartitions", "BatchGetPartition")
STAGING = "staging"
MAX_FILES = 500
"""More of them, as S3 lists them, would come near the 256 KiB of a state's input. So many small ones are less than a
drop may have."""
WRITE_FILE = ("PutObject", "AbortMultipartUpload", "ListMultipartUploadParts")


def schedule_of(name: str) -> str:
    """The name of the query's schedule, by which an execution knows its query."""
    return f"{QUERY}-{name}"


def definition(context: Context) -> Definition:
    """The definition. Input: `detail.schedule`, and `as_of`, the time at which the query was due."""
    queries = context.workload.queries
    due = [
        (
            {
                "And": [
                    states.equals("$.detail.schedule", schedule_of(name)),
                    {"Variable": "$.as_of", "IsTimestamp": True},  # it becomes a part of the statement
                ]
            },
            f"Query {name}",
        )
        for name in queries
    ]
    cause = f"expected detail.schedule among {', '.join(map(schedule_of, queries))}, and a time as as_of"
    return states.machine(
        f"Unload the rows of a query of {context.workload.name} as drops",
        start="Defaults",
        timeout_s=TIMEOUT_S,
        states={
            **states.defaults("Which query?", detail={"schedule": ""}),
            "Which query?": states.choice("Which one is due?", due, otherwise="No query"),
            **{state: body for name, query in queries.items() for state, body in _query(context, name, query)},
            **dict(_drops(context)),
            "Unloaded": states.succeed("The result is dropped"),
            "Too many files": states.fail(
                "Nothing was dropped",
                error="TooManyFiles",
                cause=f"expected at most {MAX_FILES} files of a query: ask for fewer rows at a time, more often",
            ),
            "No query": states.fail("Nothing was queried", error="UnknownQuery", cause=cause),
        },
    )


def _query(context: Context, name: str, query: Query) -> Iterator[tuple[str, State]]:
    # The template of States.Format holds no text of the statement: quotes, braces and line ends would be escaped there.
    # A comment at the end of the SQL must not swallow the bracket that follows.
    folder = f"s3://{context.platform.bucket('lake')}/{context.workload.name}/{STAGING}"
    sql = query.statement.replace(AS_OF, f"from_iso8601_timestamp('{AS_OF}')")
    parts = f"UNLOAD ({sql}\n) TO '{folder}/".split(AS_OF)
    values = ", $.as_of, ".join(f"$.parts.p{place}" for place in range(len(parts)))
    template = "{}" * (2 * len(parts) + 1)
    options = "/' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    yield (
        f"Query {name}",
        states.put(
            f"The statement; between its parts come {AS_OF} and, last, the name of the run's folder",
            "$.parts",
            Result={f"p{place}": part for place, part in enumerate(parts)}
            | {"options": options, "drops": f"{context.workload.name}/{query.feed}/{name}"},
            next_state=f"Unload {name}",
        ),
    )
    yield (
        f"Unload {name}",
        {
            "Type": "Task",
            "Comment": "Write the rows as files aside, and wait for the query",
            "Resource": states.integration("athena:startQueryExecution.sync"),
            "Parameters": {
                "QueryString.$": f"States.Format('{template}', {values}, {states.NAME}, $.parts.options)",
                "WorkGroup": context.platform.workgroup,
                "QueryExecutionContext": {"Database": context.platform.database},
            },
            "ResultSelector": {
                "query.$": "$.QueryExecution.QueryExecutionId",
                "scanned_bytes.$": "$.QueryExecution.Statistics.DataScannedInBytes",
                "folder.$": states.NAME,
            },
            "ResultPath": "$.unloaded",
            "Retry": [states.retry("Athena.TooManyRequestsException", "Athena.InternalServerException")],
            "Next": "Find files",
        },
    )


def _drops(context: Context) -> Iterator[tuple[str, State]]:
    """The states that copy the files of a query that has ended to its feed."""
    lake, aside = context.platform.bucket("lake"), f"{context.workload.name}/{STAGING}"
    yield (
        "Find files",
        call(
            "s3:listObjectsV2",
            "Which files has the query written?",
            {"Bucket": lake, "Prefix.$": f"States.Format('{aside}/{{}}/', $.unloaded.folder)", "MaxKeys": MAX_FILES},
            next_state="All found?",
            result="files",
        ),
    )
    yield (
        "All found?",
        states.choice(
            "Are there files, and are they all?",
            [
                (states.is_true("$.files.IsTruncated"), "Too many files"),
                ({"Variable": "$.files.KeyCount", "NumericEquals": 0}, "Unloaded"),
            ],
            otherwise="Copy files",
        ),
    )
    name = f"States.ArrayGetItem(States.StringSplit($$.Map.Item.Value.Key, '/'), {len(aside.split('/')) + 1})"
    copy = call(
        "s3:copyObject",
        "Copy one",
        {
            "Bucket": context.platform.bucket("landing"),
            "Key.$": f"States.Format('{{}}/{{}}{LISTED}/{{}}', $.drops, $.folder, $.name)",
            "CopySource.$": f"States.Format('{lake}/{{}}', $.file)",
        },
        next_state="Copied",
    )
    yield (
        "Copy files",
        {
            "Type": "Map",
            "Comment": "Copy each file to the feed",
            "ItemsPath": "$.files.Contents",
            "ItemSelector": {
                "file.$": "$$.Map.Item.Value.Key",
                "name.$": name,
                "drops.$": "$.parts.drops",
                "folder.$": "$.unloaded.folder",
            },
            "MaxConcurrency": 10,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Copy file",
                # Without a result: 500 answers of S3 would be more than the 256 KiB of a state.
                "States": {"Copy file": copy, "Copied": {"Type": "Pass", "Comment": "Done", "Result": {}, "End": True}},
            },
            "ResultPath": "$.copied",
            "Next": "Drop list",
        },
    )
    yield (
        "Drop list",
        call(
            "s3:putObject",
            "Name the files, as S3 lists them, in their drop",
            {
                "Bucket": context.platform.bucket("landing"),
                "Key.$": f"States.Format('{{}}/{{}}{LISTED}.json', $.parts.drops, $.unloaded.folder)",
                "Body": {"Contents.$": "$.files.Contents"},
            },
            next_state="Unloaded",
        ),
    )


def statements(context: Context) -> list[Statement]:
    """The rights of the machine: to run its queries, to read what they read, and to write files of their feeds.

    Athena reads and writes in the name of who starts a query.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-athena.html"""
    names, queries = context.names, context.workload.queries.values()
    platform, feeds = context.platform, sorted({query.feed for query in queries})
    results = f"{platform.bucket_arn('lake')}/{QUERY_RESULTS}/*"
    others = {table: uri for query in queries for table, uri in query.tables.items()}
    buckets = {platform.bucket("lake"), platform.bucket("landing"), *(uri.split("/")[2] for uri in others.values())}
    own = [
        resource("athena", platform.arn("athena", f"workgroup/{platform.workgroup}")).may(
            "StartQueryExecution", "StopQueryExecution", "GetQueryExecution"
        ),
        resource("athena", platform.arn("athena", "datacatalog/AwsDataCatalog")).may("GetDataCatalog"),
        iceberg.tables(names, *OWN_TABLES).may(*READ_TABLE),
        LAKE.find(names, *OWN_FOLDERS),
        LAKE.read(names, *OWN_FOLDERS),
        resource("s3", results, because="Athena names a result by the query's id").may(*WRITE_FILE),
        LAKE.find(names, STAGING),
        LAKE.below(names, STAGING).may("GetObject", *WRITE_FILE),
        LANDING.write(names, *feeds),
        resource("s3", *(platform.arn("s3", bucket) for bucket in sorted(buckets))).may("GetBucketLocation"),
        *(right for table, uri in others.items() for right in _read(context, table, uri)),
    ]
    return [*own, key.use(context.key_arn, own)]


def _read(context: Context, table: str, uri: str) -> list[Statement]:
    """Read a table of others."""
    platform, (database, name) = context.platform, table.split(".")
    bucket, _, folder = uri.removeprefix("s3://").partition("/")
    entries = ("catalog", f"database/{database}", f"table/{database}/{name}")
    files = platform.arn("s3", f"{bucket}/{folder}*")
    return [
        resource("glue", *(platform.arn("glue", entry) for entry in entries)).may(*READ_TABLE),
        resource("s3", files, because=f"The files of {table} lie in this folder").may("GetObject"),
        resource("s3", platform.arn("s3", bucket), where={"StringLike": {"s3:prefix": [f"{folder}*"]}}).may(
            "ListBucket"
        ),
    ]
