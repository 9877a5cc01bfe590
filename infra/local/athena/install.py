"""Amazon Athena: queries over the tables of the catalogue.

AWS does: run SQL in Trino's dialect over Iceberg and Hive tables, by the permissions of the caller, and leave the
    result in S3; a workgroup says where, under which key and how many bytes a query may scan.
moto does: keep the query and answer results that a test queued.
We do: read the very files, by Glue's entry and the caller's keys; sqlglot translates the query and duckdb runs it.
Weaker: SELECT, SHOW, DESCRIBE and EXPLAIN only; functions and types as far as sqlglot and duckdb have them; no views,
    no federated sources, no registered partitions, no reuse of results. Whole tables are in memory.
"""

from infra.local.athena.executions import run_queries
from infra.local.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    run_queries(cloud)
