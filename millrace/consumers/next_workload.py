"""A consumer that is another workload of the stage: each decision becomes a row of it, and so a decision of it.

    {"workload": "intents", "decisions": [{"id": "r-7-0", "decided_at": "2026-11-20T07:30:00.000000Z",
                                           "row": {"intent": "refund", "amount": 12.5}}]}

The second decision has the `chained_id` of the first: `r-7-0.intents`. What has no answer is passed on beside them,
under `unanswered`, and the consumers of the next workload hear of it by that id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right
from millrace.errors import ConsumerError, DocumentsRefusedError
from millrace.names import Platform, WorkloadNames
from millrace.workload.section import Section

CellPlace = Annotated[str, Field(pattern=r"^(id|(answer|row)\.\w+)$")]


class CellConstant(Section):
    """The same cell in every row: `{constant: web}`."""

    constant: StrictBool | StrictInt | StrictFloat | StrictStr


class NextWorkload(Consumer):
    """Another workload of the stage. Each decision is a row of it; the id of what it decides is `<id>.<workload>`.

    Example: `act: {to: workload, workload: actions, row: {intent: answer.value, amount: row.amount}}`"""

    reads_rows: ClassVar[bool] = True
    passes_on: ClassVar[bool] = True
    to: Literal["workload"]
    workload: str
    """Its name. Its decisions must not come back, on whatever way."""
    row: Annotated[dict[str, CellPlace | CellConstant], Field(min_length=1)]
    """By column of its rows `answer.<field>`, `row.<column>` of the row that was decided, `id`, or `{constant: …}`."""

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        target = WorkloadNames(platform=platform, workload=self.workload).prediction
        return (Right(actions=("lambda:InvokeFunction",), arn=platform.arn("lambda", f"function:{target}")),)

    def connect(self, client: Client, platform: Platform) -> Act:
        functions, target = client("lambda"), WorkloadNames(platform=platform, workload=self.workload).prediction

        def act(documents: Sequence[Document]) -> None:
            unanswered = [one for one in documents if one["action"] == "unanswered"]
            rows = [dict(one) | {"row": self.cells(places(one))} for one in documents if one not in unanswered]
            asked = {"workload": documents[0]["workload"], "decisions": rows, "unanswered": unanswered}
            said = json.load(functions.invoke(FunctionName=target, Payload=json.dumps(asked).encode())["Payload"])
            expected = f"workload {self.workload}: expected {len(rows)} rows decided"
            if "predictions" not in said:
                raise ConsumerError(f"{expected}, got {said}")
            if refused := said["rejected"]:
                first = refused[0] | {"row": rows[refused[0]["row"]]["id"]}
                raise DocumentsRefusedError(f"{expected}, got {len(refused)} refused, the first {first}")

        return act

    def cells(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The row that a decision with these `places` becomes."""
        return {to: of.constant if isinstance(of, CellConstant) else known.get(of) for to, of in self.row.items()}


def places(document: Document) -> dict[str, Any]:
    """What a decision has for a row, by its place: `answer.value`."""
    parts = {f"{part}.{name}": cell for part in ("answer", "row") for name, cell in document[part].items()}
    return {"id": document["id"], **parts}


def chained_id(first: str, workload: str) -> str:
    """The id of what the next workload decides on the decision `first` of `workload`: `r-7-0.intents`.

    No other id ends so."""
    return f"{first}.{workload}"


def before_chain(chained: str) -> tuple[str, str]:
    """Of a `chained_id` the first decision's id and its workload."""
    return chained.rpartition(".")[::2]
