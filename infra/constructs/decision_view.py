"""The view `<workload>_every_decision`: one row per decision, on requests and on the rows of files, under one name."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from aws_cdk import aws_glue as glue
from constructs import Construct

from millrace.artefact.batch import ROW, VERSION
from millrace.contract.schema import Contract
from millrace.decisions.scored import ACTION_COLUMNS
from millrace.infra.constructs.external_table import ExternalTable, catalogued, column_types, columns_of
from millrace.infra.context import Context
from millrace.messages.score import delivered_types
from millrace.tasks.answer import athena_type
from millrace.tasks.task import Task

SCORED = "decisions_scored"


class DecisionView(Construct):
    """The view, and the table of scored files beneath it. That table has no partitions: every query reads all files.

    Athena keeps a view as a table of the catalogue, with its SQL as Base64. Whoever asks it needs the rights on the
    tables beneath. https://docs.aws.amazon.com/athena/latest/ug/views.html"""

    def __init__(self, scope: Construct, *, context: Context, contract: Contract, task: Task) -> None:
        super().__init__(scope, "every-decision")
        names, policy = context.names, context.workload.policy
        event_time = context.workload.prediction.event_time
        types = column_types(contract.table("scoring")) | delivered_types(task, policy)
        answer = {field.name: athena_type(field) for field in task.answer}
        read = [event_time, *answer, VERSION, ROW, *(ACTION_COLUMNS if policy else ())]
        ExternalTable(
            self,
            SCORED,
            context=context,
            description="Delivered batch predictions of all runs, without their rows",
            columns={name: types[name] for name in read},
            partitions=(),
            folder="predictions",
        )
        columns = {"id": "string", "event_time": "string", **answer, "model_version": "string", "phase": "string",
                   "fallback": "boolean", "latency_ms": "double", "inferred_at": "string", "action": "string",
                   "reason": "string", "run": "string", "date": "string"}  # fmt: skip
        tables = [names.table(name) for name in ("decisions", "decisions_absorbed", SCORED)]
        sql = statement(*tables, answer=answer, event_time=event_time, acts=policy is not None)
        view = {
            "originalSql": sql,
            "catalog": "awsdatacatalog",
            "schema": context.platform.database,
            "columns": [{"name": name, "type": sql_type(kind)} for name, kind in columns.items()],
        }
        catalogued(
            self,
            context,
            name="every_decision",
            description="One row per decision, on requests and on the rows of files; these have a run",
            table_type="VIRTUAL_VIEW",
            parameters={"presto_view": "true", "comment": "Presto View"},
            view_original_text=f"/* Presto View: {base64.b64encode(json.dumps(view).encode()).decode()} */",
            view_expanded_text="/* Presto View */",
            storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                columns=columns_of(columns), serde_info=glue.CfnTable.SerdeInfoProperty()
            ),
        )


def statement(lines: str, absorbed: str, scored: str, *, answer: Mapping[str, str], event_time: str, acts: bool) -> str:
    """The SQL of the view. Of lines with one id the last counts; for a night both tables have some of them."""
    fields = ", ".join(f'"{name}"' for name in answer)
    parsed = ", ".join(f'{_parsed(name, kind)} AS "{name}"' for name, kind in answer.items())
    none = f"{_null()} AS action, {_null()} AS reason"
    of_lines = "millrace.action AS action, millrace.reason AS reason" if acts else none
    of_files = "action, reason" if acts else none
    rest = "model_version, phase, fallback, latency_ms, inferred_at, action, reason"
    at = f'cast("{event_time}" AS timestamp)'
    read = f'"{event_time}", {fields}, {ROW}, {VERSION}' + ", action, reason" * acts
    return f"""\
SELECT id, event_time, {fields}, {rest}, {_null()} AS run, date
FROM (
  SELECT id, event_time, {parsed}, {rest}, date,
    row_number() OVER (PARTITION BY date, id ORDER BY inferred_at DESC) AS nth
  FROM (
    SELECT eventmetadata.eventid AS id, millrace.event_time AS event_time,
      capturedata.endpointoutput.data AS output, millrace.model_version AS model_version, millrace.phase AS phase,
      millrace.fallback AS fallback, millrace.latency_ms AS latency_ms, eventmetadata.inferencetime AS inferred_at,
      {of_lines}, date
    FROM {lines}
    UNION ALL SELECT id, event_time, output, {rest}, date FROM {absorbed}))
WHERE nth = 1
UNION ALL
SELECT concat(run, '-', cast({ROW} AS varchar)), date_format({at}, '%Y-%m-%dT%H:%i:%s.%fZ'),
  {fields}, {VERSION}, {_null()}, {VERSION} IS NULL, {_null("double")}, {_null()},
  {of_files}, run, date_format({at}, '%Y-%m-%d')
FROM (SELECT {read}, regexp_extract("$path", 'run=([^/]+)', 1) AS run FROM {scored})"""  # noqa: S608 # nosec B608 # names of the contract and of the task


def sql_type(kind: str) -> str:
    """A type of the catalogue in the words of SQL: `array(varchar)` of `array<string>`."""
    names = {"int": "integer", "string": "varchar"}
    inner = kind.removeprefix("array<").removesuffix(">")
    plain = names.get(inner, inner)
    return plain if inner == kind else f"array({plain})"


def _parsed(name: str, kind: str) -> str:
    """A field of the answer out of its JSON."""
    if kind == "string":
        return f"json_extract_scalar(output, '$.{name}')"
    return f"cast(json_extract(output, '$.{name}') AS {sql_type(kind)})"


def _null(kind: str = "varchar") -> str:
    return f"cast(NULL AS {kind})"
