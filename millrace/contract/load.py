"""`contract.yaml` becomes a Contract: quick, without the standard's own package, for functions and jobs.

The whole standard is checked once, at synth, by `millrace.contract.odcs`. A rule that this reader does
not know how to keep stops here: a rule that nothing runs is worse than no rule.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NoReturn

import yaml

from millrace.contract.schema import Bound, Column, Contract, Kind, Table
from millrace.errors import WorkloadError

KINDS: dict[str, dict[str, Kind]] = {
    "integer": {
        "": "int64",
        "INTEGER": "int32",
        "INT": "int32",
        "SMALLINT": "int32",
        "BIGINT": "int64",
        "LONG": "int64",
    },
    "number": {"": "float64", "DOUBLE": "float64", "FLOAT": "float32", "REAL": "float32"},
    "string": {"": "string", "STRING": "string", "VARCHAR": "string", "TEXT": "string", "BINARY": "binary"},
    "boolean": {"": "boolean", "BOOLEAN": "boolean"},
    "date": {"": "date", "DATE": "date"},
    "timestamp": {"": "timestamp", "TIMESTAMP": "timestamp"},
}
OPTIONS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}


def load_contract(folder: Path) -> Contract:
    """The contract in `folder/contract.yaml`.

    Raises WorkloadError that says file, field, what was expected and what came."""
    path = folder / "contract.yaml"
    return _Reader(f"{folder.name}/{path.name}").contract(read_document(path))


def read_document(path: Path) -> dict[str, Any]:
    """The YAML document as plain values; raises WorkloadError when it is none."""
    where = f"{path.parent.name}/{path.name}"
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 # nosec B506 # both are safe
    except FileNotFoundError:
        raise WorkloadError(where=where, field="(file)", expected="a file", came="none") from None
    except yaml.YAMLError as error:
        raise WorkloadError(where=where, field="(file)", expected="YAML", came=str(error)) from None
    if not isinstance(document, dict):
        raise WorkloadError(where=where, field="(file)", expected="a mapping", came=document)
    return document


def digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of the document in canonical JSON, 64 hexadecimal digits."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class _Reader:
    """Walks the document; every failure names the field it stands on."""

    def __init__(self, where: str) -> None:
        self.where = where

    def contract(self, document: dict[str, Any]) -> Contract:
        objects = {entry.get("name"): (i, entry) for i, entry in enumerate(document.get("schema") or ())}
        for name in ("rows", "labels"):
            if name not in objects:
                self._stop("schema", f"an object named {name!r}", sorted(str(key) for key in objects))
        contract = Contract(
            rows=self._table(*objects["rows"]),
            labels=self._table(*objects["labels"]),
            digest=digest(document),
        )
        self._check_labels(contract)
        return contract

    def _check_labels(self, contract: Contract) -> None:
        """One label, in both tables, and every label can find its row."""
        for table in (contract.rows, contract.labels):
            labels = [column.name for column in table.columns if column.label]
            if len(labels) != 1:
                self._stop(f"schema.{table.name}", "one property with the custom property role: label", labels)
        if contract.label.name not in contract.labels.names:
            self._stop("schema.labels", f"the label {contract.label.name!r}", list(contract.labels.names))

    def _table(self, index: int, entry: dict[str, Any]) -> Table:
        field = f"schema.{index}.properties"
        properties: list[dict[str, Any]] = entry.get("properties") or self._stop(field, "at least one property", "none")
        columns = tuple(self._column(f"{field}.{i}", prop) for i, prop in enumerate(properties))
        names = [column.name for column in columns]
        if len(set(names)) != len(names) or any(name.startswith("_") for name in names):
            self._stop(field, "names that differ and do not start with '_'", names)
        rows = self._row_rules(f"schema.{index}.quality", entry.get("quality") or ())
        keys = [
            _primary_key(properties),
            *((column.name,) for column in columns if column.unique),
            *rows.keys,
        ]
        return Table(
            name=str(entry["name"]),
            columns=columns,
            keys=tuple(dict.fromkeys(key for key in keys if key)),
            minimum_rows=rows.minimum_rows,
            maximum_rows=rows.maximum_rows,
        )

    def _column(self, field: str, prop: dict[str, Any]) -> Column:
        options = dict(prop.get("logicalTypeOptions") or {})
        kind = self._kind(field, prop, options)
        rules: dict[str, Any] = {
            ours: self._bound(f"{field}.logicalTypeOptions.{theirs}", kind, options.pop(theirs))
            for theirs, ours in OPTIONS.items()
            if theirs in options
        }
        if kind in ("string", "binary"):
            rules["min_length"], rules["max_length"] = (
                options.pop("minLength", None),
                options.pop("maxLength", None),
            )
            rules["pattern"] = self._pattern(field, options.pop("pattern", None))
        if options:
            self._stop(f"{field}.logicalTypeOptions", f"options that are checked for a {kind}", sorted(options))
        rules |= self._cell_rules(field, prop.get("quality") or ())
        if prop.get("enum"):
            rules["allowed"] = tuple(prop["enum"])
        self._check_fit(field, kind, rules)
        required = bool(prop.get("required") or prop.get("primaryKey") or rules.pop("required", False))
        unique = bool(prop.get("unique") or rules.pop("unique", False))
        role = {entry["property"]: entry["value"] for entry in prop.get("customProperties") or ()}.get("role")
        return Column(
            name=str(prop["name"]),
            kind=kind,
            required=required,
            unique=unique,
            label=role == "label",
            **rules,
        )

    def _check_fit(self, field: str, kind: Kind, rules: dict[str, Any]) -> None:
        allowed: tuple[object, ...] = rules.get("allowed") or ()
        types = {"string": str, "int32": int, "int64": int}
        if allowed and not all(type(value) is types.get(kind) for value in allowed):
            self._stop(f"{field}.quality", "validValues of the column's type, string or integer", list(allowed))
        if rules.get("pattern") and kind != "string":
            self._stop(field, "a pattern on a string only", kind)

    def _kind(self, field: str, prop: dict[str, Any], options: dict[str, Any]) -> Kind:
        logical, physical = str(prop.get("logicalType")), str(prop.get("physicalType") or "")
        kinds = KINDS.get(logical) or self._stop(f"{field}.logicalType", f"one of {', '.join(KINDS)}", logical)
        physical = re.sub(r"\(.*\)$", "", physical).upper()
        if physical not in kinds:
            self._stop(f"{field}.physicalType", f"one of {', '.join(filter(None, kinds))}", physical)
        zoned = options.pop("timezone", False) if logical == "timestamp" else False
        return "timestamp_utc" if zoned else kinds[physical]

    def _bound(self, field: str, kind: Kind, value: object) -> Bound:
        try:
            if kind in ("timestamp", "timestamp_utc"):
                moment = datetime.fromisoformat(str(value))
                if (moment.tzinfo is None) is (kind == "timestamp"):
                    return moment
            elif kind == "date":
                return date.fromisoformat(str(value))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                return value
        except ValueError:
            pass
        return self._stop(field, f"a {kind}", value)

    def _pattern(self, field: str, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            self._stop(f"{field}.logicalTypeOptions.pattern", f"a regular expression ({error})", pattern)
        return pattern

    def _cell_rules(self, field: str, quality: Sequence[dict[str, Any]]) -> dict[str, Any]:
        rules: dict[str, Any] = {}
        for i, rule in enumerate(quality):
            at = f"{field}.quality.{i}"
            if rule.get("type") == "text":
                continue
            arguments = rule.get("arguments") or {}
            match rule.get("metric"):
                case "invalidValues" if set(arguments) <= {"validValues", "pattern"} and arguments:
                    rules |= {"allowed": tuple(arguments["validValues"])} if "validValues" in arguments else {}
                    rules |= {"pattern": self._pattern(at, arguments["pattern"])} if "pattern" in arguments else {}
                case "nullValues":
                    rules["required"] = True
                case "duplicateValues":
                    rules["unique"] = True
                case metric:
                    self._stop(
                        at,
                        "the metric invalidValues, nullValues or duplicateValues with mustBe: 0",
                        metric or rule.get("type"),
                    )
            self._none(at, rule)
        return rules

    def _row_rules(self, field: str, quality: Sequence[dict[str, Any]]) -> Table:
        keys: list[tuple[str, ...]] = []
        minimum, maximum = 0, None
        for i, rule in enumerate(quality):
            at = f"{field}.{i}"
            match rule.get("metric"):
                case "duplicateValues" if (rule.get("arguments") or {}).get("properties"):
                    self._none(at, rule)
                    keys.append(tuple(rule["arguments"]["properties"]))
                case "rowCount":
                    minimum, maximum = self._row_count(at, rule)
                case metric if rule.get("type") != "text":
                    self._stop(
                        at,
                        "the metric rowCount, or duplicateValues with arguments.properties",
                        metric or rule.get("type"),
                    )
        return Table(name="", columns=(), keys=tuple(keys), minimum_rows=minimum, maximum_rows=maximum)

    def _row_count(self, field: str, rule: dict[str, Any]) -> tuple[int, int | None]:
        minimum = rule.get("mustBeGreaterOrEqualTo", rule.get("mustBeGreaterThan", -1) + 1)
        maximum = rule.get("mustBeLessOrEqualTo")
        if "mustBeLessThan" in rule:
            maximum = rule["mustBeLessThan"] - 1
        if {"mustBe", "mustNotBe", "mustBeBetween", "mustNotBeBetween"} & set(rule):
            self._stop(field, "a lower bound, an upper bound or both", sorted(rule))
        return minimum, maximum

    def _none(self, field: str, rule: dict[str, Any]) -> None:
        """A rule on cells is kept row by row, so the only count that makes sense is none."""
        operators = {key: value for key, value in rule.items() if key.startswith("must")}
        if operators != {"mustBe": 0}:
            self._stop(field, "mustBe: 0 (a row that breaks the rule is quarantined)", operators)

    def _stop(self, field: str, expected: str, came: object) -> NoReturn:
        raise WorkloadError(where=self.where, field=field, expected=expected, came=came)


def _primary_key(properties: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    keys = [prop for prop in properties if prop.get("primaryKey")]
    return tuple(str(prop["name"]) for prop in sorted(keys, key=lambda prop: int(prop.get("primaryKeyPosition") or 1)))
