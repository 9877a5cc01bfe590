"""The OpenAPI document of a workload's REST API, rendered from its declaration and its contract.

It is the one source of what clients read (`millrace openapi`), of what API Gateway checks, and of what tests send. The
prediction function checks by the same contract and the same limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millrace.contract.kinds import INTEGERS, TIMES, Kind
from millrace.contract.row import MOST_ENTRIES
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.multiple_of import MultipleOf
from millrace.contract.rules.pattern import Pattern
from millrace.contract.rules.range import Range
from millrace.decisions.record import ANSWERERS, TEXT, VERSION, api_fields
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import requiring_known
from millrace.names import API_STAGE
from millrace.settings.prediction import BROUGHT, CALL_ID, DAYS, KEY, MOST_DAYS, ROWS_PER_CALL
from millrace.tasks import catalogue as tasks

if TYPE_CHECKING:
    from millrace.contract.schema import Column, Contract
    from millrace.tasks.task import AnswerField, FieldKind
    from millrace.workload.declaration import Workload

Document = dict[str, Any]
CELLS: Mapping[Kind, Document] = {
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "float32": {"type": "number", "format": "float"},
    "float64": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "binary": {"type": "string", "format": "byte"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string"},
    "timestamp_utc": {"type": "string", "format": "date-time"},
}
FIELDS: Mapping[FieldKind, Document] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "text": {"type": "string"},
}
NAMED: Document = {"name": "id", "in": "path", "required": True, "schema": TEXT}
SIGNED = "sigv4"
"""The security scheme of every operation: Signature Version 4."""


def openapi(workload: Workload, contract: Contract) -> Document:
    """The document, in OpenAPI 3.0.3: https://spec.openapis.org/oas/v3.0.3."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": f"Millrace {workload.name}",
            "description": f"Predictions of {workload.prediction.label} by the live model of {workload.name}.",
            "version": contract.digest[:12],
        },
        "servers": [
            {
                "url": f"https://{{api}}.execute-api.{{region}}.amazonaws.com/{API_STAGE}",
                "description": "The output `ApiUrl` of the workload's stack `serving`",
                "variables": {"api": {"default": "api"}, "region": {"default": "eu-west-1"}},
            }
        ],
        "paths": _paths(workload),
        "components": {
            "securitySchemes": {
                SIGNED: {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "description": "Signature Version 4 of the service execute-api",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
            "schemas": {
                "Request": request_schema(workload, row={"$ref": "#/components/schemas/Row"}),
                "Row": _row(workload, contract),
                **dict(_brought(contract)),
                "Answer": _answer(),
                "Prediction": _prediction(workload, contract),
                "Refused": _object(row={"type": "integer"}, reason=TEXT, column=TEXT, expected=TEXT, came=TEXT),
                **({"Job": _job()} if workload.jobs else {}),
                "Decision": _decision(workload, contract),
                "Error": _object(error=TEXT, expected=TEXT, came=TEXT, where=TEXT),
            },
        },
    }


def request_schema(workload: Workload, *, row: Document) -> Document:
    """The schema of a request for predictions, whose rows have the schema `row`."""
    said = {"type": "boolean", "description": f"Whether each answer is explained, of {MOST_EXPLAINED} rows at most"}
    return _request(row, **({"explain": said} if workload.explanations.rows else {}))


def _request(row: Document, **more: Document) -> Document:
    rows = {"type": "array", "minItems": 1, "maxItems": ROWS_PER_CALL, "items": row}
    told = "Your own id of the request, and yours alone: if you send it again, you repeat your decisions, or your drop"
    own = {"type": "string", "pattern": f"^{CALL_ID.pattern}$", "description": told}
    return {"type": "object", "required": ["rows"], "properties": {"rows": rows, "id": own, **more}}


def _paths(workload: Workload) -> Document:
    found: Document = {f"/{workload.name}/predictions": {"post": _predict()}}
    if workload.jobs:
        job = ("Request", "Job", "The request is kept: come back with its id")
        found[f"/{workload.name}/jobs"] = {"post": _later("accept", "Leave a request, whose result comes later", *job)}
        found[f"/{workload.name}/jobs/{{id}}"] = {"get": _find_job()}
    for feed in BROUGHT:
        drop = (f"{feed.title()}Request", "Drop", "The rows are a drop: the contract judges them with those of files")
        bring = _later(f"bring{feed.title()}", f"Bring rows of the feed {feed}", *drop)
        found[f"/{workload.name}/{feed}"] = {"post": bring}
    found[f"/{workload.name}/decisions/{{id}}"] = {"get": _find_decision()}
    # In each operation: API Gateway ignores a `security` of the whole document, and would answer everybody.
    for operation in (one for methods in found.values() for one in methods.values()):
        operation["security"] = [{SIGNED: []}]
    return found


def _later(operation: str, summary: str, body: str, answer: str, said: str) -> Document:
    """An operation whose request is like that for predictions, and whose work is done after its answer."""
    refused = {status: told for status, told in _predict()["responses"].items() if status not in ("200", "503")}
    return {
        **_predict(),
        "operationId": operation,
        "summary": summary,
        "requestBody": {"required": True, "content": _json(body)},
        "responses": {"202": {"description": said, "content": _json(answer)}, **refused},
    }


def _brought(contract: Contract) -> Iterator[tuple[str, Document]]:
    """The schemas of the requests that bring rows, and of their answer."""
    for feed in BROUGHT:
        columns = [column for column in contract.table(feed).columns if not column.derived]
        row = {"type": "object", "properties": {column.name: cell_schema(column) for column in columns}}
        yield f"{feed.title()}Request", _request(row)
    yield "Drop", _object(drop=TEXT, rows={"type": "integer"})


def _find_job() -> Document:
    found = {"description": "The job is waiting, done or failed", "content": _json("Job")}
    return {
        "operationId": "findJob",
        "summary": "What became of a request that was left",
        "parameters": [NAMED],
        "responses": _found(found) | {"404": _error("The caller has no such job")},
    }


def _find_decision() -> Document:
    told = f"A day of event time; without both the last {DAYS} days are searched, and with them {MOST_DAYS} at most"
    day = {"in": "query", "description": told, "schema": {"type": "string", "format": "date"}}
    responses = {
        **_found({"description": "The decision as it is recorded", "content": _json("Decision")}),
        "400": _error("The days are none, or too many"),
        "404": _error("The caller has no such decision about these days, or it is not recorded yet"),
        "504": _error("These days have more decisions than can be searched: name fewer"),
    }
    return {
        "operationId": "findDecision",
        "summary": "A decision that the caller has asked for",
        "parameters": [NAMED, *({"name": name, **day} for name in ("from", "to"))],
        "responses": responses,
    }


def _found(answer: Document) -> Document:
    """The answers to a request that reads."""
    return {
        "200": answer,
        "403": _error("The request is not signed, or its signer has no right"),
        "429": _error("Too many requests: come again after the seconds of Retry-After"),
    }


def _job() -> Document:
    status = {**TEXT, "enum": ["waiting", "done", "failed"]}
    job = _object(id=TEXT, status=status)
    ended = {"result": {"$ref": "#/components/schemas/Answer"}, "error": {"$ref": "#/components/schemas/Error"}}
    return {**job, "properties": {**job["properties"], **ended}}


def _decision(workload: Workload, contract: Contract) -> Document:
    found: Document = {}
    for one in api_fields(acts=workload.policy is not None):
        found |= _fields(workload, contract) if one.name == "output" else {one.name: one.api}
    return _object(**found)


def _predict() -> Document:
    return {
        "operationId": "predict",
        "summary": "The live model's answer to each row, or why there is none",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key with the same body has the same answer and the same decisions, for a day",
                "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
            }
        ],
        "requestBody": {"required": True, "content": _json("Request")},
        "responses": {
            "200": {"description": "Every row is answered or refused", "content": _json("Answer")},
            "400": _error("The document is no request"),
            "403": _error("The request is not signed, or its signer has no right"),
            "409": _error("A request with this key is being answered: come again after the seconds of Retry-After"),
            "413": _error("Too many rows, or too many bytes"),
            "422": _error("The key came with another body before"),
            "429": _error("Too many requests: come again after the seconds of Retry-After"),
            "503": _error("A version is or was live, but none answers"),
        },
    }


def _row(workload: Workload, contract: Contract) -> Document:
    prediction = workload.prediction
    table = requiring_known(contract.read_by_models(prediction.tensor_columns).table("scoring"))
    properties = {column.name: cell_schema(column) for column in table.columns if not column.derived}
    for history in encoders.histories(encoders.declare(prediction.features, table)):
        past = (history.event_time, *history.history)
        properties[history.name] = {
            "type": "array",
            "maxItems": MOST_ENTRIES * history.steps,
            "items": {"type": "object", "properties": {name: cell_schema(table.column(name)) for name in past}},
            **({"description": "Left out: the rows that are known of the key"} if workload.known_keys else {}),
        }
    return {
        "type": "object",
        "description": "A cell by column. A row that breaks a rule is refused, and the others are answered",
        "required": [column.name for column in table.columns if column.required and not column.is_filled],
        "properties": properties,
    }


def cell_schema(column: Column) -> Document:
    """The schema of a cell of the column, as JSON has it. What no schema can say stands in the description.

    Every cell that keeps it keeps the type and the listed rules of the contract, but for what a float rounds."""
    unit = f", in {column.unit}" if column.unit else ""
    said = "; ".join([f"{column.form}{unit}", *_in_words(column)])
    empty = {} if column.required and not column.is_filled else {"nullable": True}
    return {**CELLS[column.kind], **dict(_limits(column)), "description": said, **empty}


def _limits(column: Column) -> Iterator[tuple[str, Any]]:
    for rule in column.rules:
        match rule:
            case Range() if column.kind not in TIMES:
                yield from _bound("minimum", "exclusiveMinimum", rule.minimum, rule.exclusive_minimum)
                yield from _bound("maximum", "exclusiveMaximum", rule.maximum, rule.exclusive_maximum)
            case Allowed() if not column.takes_unlisted:
                yield "enum", [*rule.values, *([] if column.required else [None])]
            case Length() if column.kind == "string":
                sizes = (("minLength", rule.minimum), ("maxLength", rule.maximum))
                yield from ((name, size) for name, size in sizes if size is not None)
            case MultipleOf() if column.kind in INTEGERS:
                yield "multipleOf", rule.divisor


def _bound(name: str, flag: str, included: object, excluded: object) -> Iterator[tuple[str, Any]]:
    """The bound as OpenAPI 3.0 has it: an excluded bound is a bound with a flag, so one of the two alone can stand."""
    if excluded is not None:
        yield flag, True
    if (bound := included if excluded is None else excluded) is not None:
        yield name, bound


def _in_words(column: Column) -> Iterator[str]:
    """The rules that the schema does not have."""
    for rule in column.rules:
        match rule:
            case Range() if column.kind in TIMES:
                bounds = {
                    ">=": rule.minimum,
                    ">": rule.exclusive_minimum,
                    "<=": rule.maximum,
                    "<": rule.exclusive_maximum,
                }
                yield ", ".join(f"{sign} {bound}" for sign, bound in bounds.items() if bound is not None)
            case Allowed() if column.takes_unlisted:
                yield f"{rule.expected}; another value is taken as unknown"
            case Pattern():
                yield f"text with a match of {rule.expression} (RE2)"
            case ImageFormat() | MultipleOf():
                yield rule.expected
            case Length() if column.kind == "binary":
                bounds = {">=": rule.minimum, "<=": rule.maximum}
                yield ", ".join(f"{sign} {size} bytes" for sign, size in bounds.items() if size is not None)


def _prediction(workload: Workload, contract: Contract) -> Document:
    acted = {"action": TEXT, "reason": TEXT} if workload.policy else {}
    known = {"id": TEXT, "row": {"type": "integer"}, **_fields(workload, contract), "model_version": VERSION}
    prediction = _object(**known, phase=TEXT, fallback={"type": "boolean"}, **acted)
    # Only of a fallback that somebody answered, and only if it is asked for.
    others: Document = {"answered_by": {"type": "string", "enum": [*ANSWERERS]}}
    if workload.explanations.rows:
        others["explanation"] = {"type": "object", "nullable": True}
    return {**prediction, "properties": {**prediction["properties"], **others}}


def _fields(workload: Workload, contract: Contract) -> Document:
    answer = tasks.declare(workload.prediction, contract.label).answer
    return {one.name: _field(one) for one in (*answer, *workload.prediction.dates)}


def _field(field: AnswerField) -> Document:
    # A fallback that the workload does not declare has nulls, and so has the answer to a row that is held out.
    cell = {**FIELDS[field.kind], **({} if field.maximum is None else {"minimum": 0, "maximum": field.maximum})}
    one = {**cell, "nullable": True}
    return {"type": "array", "items": one, "nullable": True} if field.length else one


def _answer() -> Document:
    refused = {"type": "array", "items": {"$ref": "#/components/schemas/Refused"}}
    answered = {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    answer = _object(predictions=answered, rejected=refused)
    return {**answer, "properties": {**answer["properties"], "warnings": refused}}


def _object(**properties: Document) -> Document:
    return {"type": "object", "required": list(properties), "properties": properties}


def _json(schema: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _error(description: str) -> Document:
    return {"description": description, "content": _json("Error")}
