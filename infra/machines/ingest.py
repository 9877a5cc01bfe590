"""The machine `ingest`: bytes become typed rows, rows are judged, the good ones become one snapshot."""

from __future__ import annotations

from infra.context import Context
from infra.iam import bus, functions
from infra.iam.resource import Statement
from infra.machines import states
from infra.machines.paths import Result, path
from infra.machines.states import Definition
from millrace.messages.events import DatasetCommitted, DropRejected
from millrace.messages.ingest import Committed, Ingested, IngestState

FUNCTIONS = ("ingestion", "validation")
INGESTION, VALIDATION = Result("ingestion", Ingested), Result("validation", Committed)
TIMEOUT_S = 3600


def definition(context: Context) -> Definition:
    """The definition. Input: cause, as_of, detail {feed, objects}, as the intake function gives it.

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
                result=INGESTION,
                next_state="Readable?",
            ),
            "Readable?": states.choice(
                "Could the object become rows at all?",
                [(states.is_true(INGESTION.path("rejected")), "Rejected")],
                otherwise="Validation",
            ),
            "Validation": states.invoke(
                function("validation"),
                comment="Each row by the contract and the keys of the table; the good ones are one snapshot, once",
                result=VALIDATION,
                next_state="Committed",
            ),
            "Committed": states.put_event(
                bus,
                workload=context.workload.name,
                event=DatasetCommitted,
                detail={f"{field}.$": VALIDATION.path(field) for field in Committed.model_fields},
                comment="Tell what the table holds now",
                next_state="Done",
            ),
            "Done": states.succeed("Every row of the drop is in the table or in quarantine"),
            "Rejected": states.put_event(
                bus,
                workload=context.workload.name,
                event=DropRejected,
                detail={
                    "feed.$": path(IngestState, "detail", "feed"),
                    "key.$": INGESTION.path("source"),
                    "reason.$": INGESTION.path("reason"),
                },
                comment="Tell that the object cannot become rows",
                next_state="Quarantined",
            ),
            "Quarantined": states.succeed("The object is quarantined whole; the table is as it was"),
        },
    )


def statements(context: Context) -> list[Statement]:
    """What the machine itself may do."""
    return [functions.invoke(context.names, *FUNCTIONS), bus.put_events(context.names)]
