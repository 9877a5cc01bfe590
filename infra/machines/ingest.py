"""The machine `ingest`: bytes become typed rows, rows are judged, the good ones become one snapshot."""

from __future__ import annotations

from infra.constructs.statements import Statement, allow
from infra.context import Context
from infra.machines import states
from infra.machines.states import Definition
from millrace.messages.events import DatasetCommitted, DropRejected

FUNCTIONS = ("ingestion", "validation", "commit")
TIMEOUT_S = 3600


def definition(context: Context) -> Definition:
    """The definition. Input: cause, as_of, detail {feed, bucket, key, version_id, …}, as the intake function gives it.

    No failure is caught: an execution that failed can be redriven from the step that failed."""
    function, bus = context.names.function_arn, context.platform.bus_arn
    return states.machine(
        f"Ingest a drop of {context.workload.name}: parse, validate, commit",
        start="Ingestion",
        timeout_s=TIMEOUT_S,
        states={
            "Ingestion": states.invoke(
                function("ingestion"),
                comment="Bytes to typed rows; what cannot be parsed is kept raw, with line and reason",
                result="ingestion",
                next_state="Readable?",
            ),
            "Readable?": states.choice(
                "Could the object become rows at all?",
                [(states.is_true("$.ingestion.answer.rejected"), "Rejected")],
                otherwise="Validation",
            ),
            "Validation": states.invoke(
                function("validation"),
                comment="Each row by the contract and by the keys that the table holds: accepted or quarantined",
                result="validation",
                next_state="Commit",
            ),
            "Commit": states.invoke(
                function("commit"),
                comment="One snapshot with the digest of the object; the same bytes bring no rows a second time",
                result="commit",
                next_state="Committed",
            ),
            "Committed": states.put_event(
                bus,
                workload=context.workload.name,
                event=DatasetCommitted,
                detail={f"{field}.$": f"$.commit.answer.{field}" for field in COMMITTED},
                comment="Tell what the table holds now",
                next_state="Done",
            ),
            "Done": states.succeed("Every row of the drop is in the table or in quarantine"),
            "Rejected": states.put_event(
                bus,
                workload=context.workload.name,
                event=DropRejected,
                detail={
                    "feed.$": "$.detail.feed",
                    "key.$": "$.ingestion.answer.source",
                    "reason.$": "$.ingestion.answer.reason",
                },
                comment="Tell that the object cannot become rows",
                next_state="Quarantined",
            ),
            "Quarantined": states.succeed("The object is quarantined whole; the table is as it was"),
        },
    )


COMMITTED = (
    "feed", "table", "snapshot_id", "rows_accepted", "rows_quarantined", "rows_total", "source", "source_digest",
    "duplicate", "alias_of", "has_champion",
)  # fmt: skip
"""The detail of `dataset.committed`."""


def statements(context: Context) -> list[Statement]:
    """What the machine itself may do."""
    return [
        allow("lambda:InvokeFunction", on=[context.names.function_arn(name) for name in FUNCTIONS]),
        allow("events:PutEvents", on=context.platform.bus_arn),
    ]
