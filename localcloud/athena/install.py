"""Amazon Athena: queries over the tables of the catalogue.

AWS does: run SQL in Trino's dialect over Iceberg and Hive tables, by the permissions of the caller, and leave the
    result in S3. A workgroup says where it lies, under which key, and how many bytes a query may scan.
moto does: keep the query, and answer with results that a test has queued.
We do: read the table's own files, as Glue names them, with the caller's keys. sqlglot translates the query, duckdb runs
    it.
Weaker: SELECT, UNLOAD as Parquet, SHOW, DESCRIBE and EXPLAIN only. Functions and types are those that sqlglot and
    duckdb know. No federated sources, no registered partitions, no reuse of results. Whole tables are in
    memory.
"""

from localcloud.athena.executions import run_queries
from localcloud.kernel.cloud import Cloud


def install(cloud: Cloud) -> None:
    run_queries(cloud)
