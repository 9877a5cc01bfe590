"""The machine `ingest`: bytes become typed rows, rows are validated, and one commit adds the good rows to a table."""

from __future__ import annotations

from millrace.infra.context import Context
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import bulk, states
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import DatasetCommitted, DropRejected
from millrace.messages.ingest import CommittedDrops, Ingested

INGESTION = Result(
    "ingestion", Ingested, "Bytes to typed rows; what cannot be parsed is kept raw, with line and reason"
)
VALIDATION = Result(
    "validation",
    CommittedDrops,
    "Each row by the contract and the keys of the table; the good ones are committed, once",
)
TIMEOUT_S = 3600


def definition(context: Context, application: str = "") -> Definition:
    """The definition. Input: `cause`, `as_of`, `detail` with `feed` and `objects`, as the intake function gives it.

    `application` is the id of the application of Spark; empty for a stage without one. But for a table that moved, no
    failure of a step is caught, so a failed execution can be redriven from the step that failed."""
    validation = states.invoke(context, VALIDATION, next_state="Committed")
    return states.machine(
        f"Ingest drops of {context.workload.name}: parse, validate, commit once",
        start="Ingestion",
        timeout_s=bulk.TIMEOUT_S if application else TIMEOUT_S,
        states={
            "Ingestion": states.invoke(context, INGESTION, next_state="Rejected"),
            **told_of_rejected(context, otherwise="Quarantined", bulk="Bulk" if application else ""),
            **(bulk.job(context, application, INGESTION.path("plan")) if application else {}),
            "Validation": {**validation, **({"Catch": [bulk.JUDGED_AGAIN]} if application else {})},
            **states.put_events(
                context,
                "Committed",
                event=DatasetCommitted,
                items=VALIDATION.path("drops"),
                comment="Tell what the table holds with each drop",
                next_state="Done",
            ),
            "Done": states.succeed("Every row is in the table or in quarantine"),
            "Quarantined": states.succeed("Nothing could become rows; the table is as it was"),
        },
    )


def told_of_rejected(context: Context, *, otherwise: str, bulk: str = "") -> dict[str, State]:
    """The states between ingestion and validation, for each machine that reads drops.

    `bulk` is the state that comes next for a large drop; empty for none."""
    large = [(states.equals(INGESTION.path("outcome"), "bulk"), bulk)] if bulk else []
    return {
        **states.put_events(
            context,
            "Rejected",
            event=DropRejected,
            items=INGESTION.path("rejected"),
            comment="Tell of each object that cannot become rows; it is quarantined whole",
            next_state="Readable?",
        ),
        "Readable?": states.choice(
            "Could an object become rows at all?",
            [(states.equals(INGESTION.path("outcome"), "parsed"), "Validation"), *large],
            otherwise=otherwise,
        ),
    }


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    return states.put_event_statements(context, DropRejected, DatasetCommitted)
