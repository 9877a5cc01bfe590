"""`millrace dead` and `consumers`: messages that were given up, to send back or to delete, and who takes decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from millrace.console.cli.options import Json, Target
from millrace.console.cli.printing import show
from millrace.console.words import count

Queue = Annotated[
    str,
    typer.Argument(
        default_factory=lambda: "", show_default="all, by their numbers", help="A dead-letter queue: `drops`."
    ),
]
Redrive = Annotated[
    bool,
    typer.Option(
        "--redrive",
        default_factory=lambda: False,
        show_default=False,
        help="Let SQS move the messages of QUEUE back to the queue that they came from.",
    ),
]
Delete = Annotated[
    str,
    typer.Option(
        "--delete",
        metavar="ID",
        default_factory=lambda: "",
        show_default=False,
        help="Delete this message of QUEUE, which no function will ever take; its body is shown once more.",
    ),
]


def dead(target: Target, json: Json, queue: Queue, redrive: Redrive, delete: Delete) -> None:
    """List the dead-letter queues, show up to ten messages of one, send its messages back, or delete one.

    Example: millrace dead drops, then, once their cause is mended, millrace dead drops --redrive. Messages that are
    shown stay where they are. Records of the stream that its function gave up go back into the stream. A
    queue that no function reads takes nothing back: its letters are events. Start the machine anew with the detail of
    such an event."""
    from millrace.console.queries import dead_letters

    environment, names = target.find_deployed()
    if (redrive or delete) and not queue:
        raise typer.BadParameter("expected the QUEUE, got none", param_hint="--redrive" if redrive else "--delete")
    if redrive and delete:
        raise typer.BadParameter("expected this or --redrive, got both", param_hint="--delete")
    if delete:
        letter = dead_letters.delete(environment, names, queue, delete)
        print(f"{queue}: deleted {letter.id}, sent {letter.sent:%Y-%m-%d %H:%M:%S}: {letter.body}")
        return
    if redrive:
        moved = dead_letters.redrive(environment, names, queue)
        print(f"{queue}: {count(moved, 'message')} on the way back")
        return
    # Without a queue its numbers, with one its messages: looking moves nothing.
    found: Sequence[Any] = (
        dead_letters.read_dead_letters(environment, names, queue)
        if queue
        else dead_letters.find_dead_queues(environment, names)
    )
    show(found, as_json=json, nothing=f"No dead letter in {queue}.")


def consumers(target: Target, json: Json) -> None:
    """Show the consumers of decisions: how many messages wait for each, and how many it has refused too often.

    Example: millrace consumers, then, once a target is mended, millrace dead consumer-crm --redrive."""
    from millrace.console.queries.dead_letters import find_consumers

    environment, names = target.find_deployed()
    nothing = f"{names.workload} declares no consumer in this stage: docs/review.md#consumers."
    show(find_consumers(environment, names), as_json=json, nothing=nothing)
