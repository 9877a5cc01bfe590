"""Reads `contract.yaml` into a Contract: quickly and without the standard's own package, for functions and jobs.

`millrace.contract.odcs` checks the whole standard once, at synth. This reader stops at a rule that it does not know:
a rule that nothing checks is worse than no rule.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from millrace.contract import drop_rules
from millrace.contract.ahead import read_ahead
from millrace.contract.comparison import CellComparison, read_comparison
from millrace.contract.csv_form import MOST_OWNER, CsvForm, owner_of, read_csv_form, read_repair, read_truth, read_words
from millrace.contract.drop_rules import INVALID, MEANS, MISSING, NULL, DropRule
from millrace.contract.expression import read_expression
from millrace.contract.freshness import read_freshness
from millrace.contract.kinds import DECLARED_TYPES, NUMBERS, TIMES, Kind
from millrace.contract.number_format import read_number_format
from millrace.contract.parts import read_part
from millrace.contract.places import named_places
from millrace.contract.rules.allowed import Allowed, read_names
from millrace.contract.rules.catalogue import RULES
from millrace.contract.rules.declaration import Declaration
from millrace.contract.rules.rule import Rule
from millrace.contract.schema import PREDICTION_ID, Column, Contract, Generated, Table
from millrace.contract.time_format import TimeFormat
from millrace.errors import WorkloadError

ROW_RULES = "rowCount, duplicateValues with arguments.properties, or the engine millrace"
CELL_METRICS = (INVALID, NULL, MISSING, "duplicateValues")
ODCS = "what the Open Data Contract Standard allows"
Value = TypeVar("Value")
Found = TypeVar("Found")
ROLES = ("label", "protected")
RULE_PROPERTIES = tuple(word for rule in RULES for word in rule.custom_properties)
NOT_ALLOWED = "words that are no values of the column: in one of the two, or missingValues of its own"
BOOLEANS = ("true", "false", "0", "1")
"""How files write the two values of a boolean, in lower case."""
COLUMN_PROPERTIES = (
    "role",
    "generated",
    "input",
    "unit",
    "ahead",
    "numberFormat",
    "part",
    "missingValues",
    "classNames",
    "formerly",
    "repair",
    *RULE_PROPERTIES,
)
"""The custom properties of a column that are read."""
NOT_DERIVED = ("physicalName", "primaryKey", "unique", "role", "generated", "input", "ahead", "numberFormat", "part")
"""What a derived column cannot have."""
TABLE_PROPERTIES = ("csv", "missingValues", "ignoredColumns", "owner")
"""The custom properties of an object that are read: how the files of its feeds are written, and by whom they are."""
GENERATED: dict[Generated, tuple[Kind, ...]] = {
    "event_time": ("timestamp", "timestamp_utc"),
    "row_order": ("timestamp", "timestamp_utc"),
    "row_id": ("string",),
    "prediction_id": ("string",),
}
"""The kinds of columns that each value of the custom property `generated` can fill."""


def load_contract(folder: Path) -> Contract:
    """The contract in `folder/contract.yaml`.

    Raises WorkloadError for a contract that cannot be read; it says file, field, what was expected and what came."""
    return contract_of(read_document(path := folder / "contract.yaml"), where=f"{folder.name}/{path.name}")


def contract_of(document: dict[str, Any], *, where: str) -> Contract:
    """The contract of a document that is read. `where` names the file in a WorkloadError."""
    with named_places(document):
        try:
            return _Reader(where).contract(document)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A list in place of an object, and its like: `millrace.contract.odcs` names the place.
            raise WorkloadError(where=where, field="(file)", expected=ODCS, came=error) from None


def read_document(path: Path) -> dict[str, Any]:
    """The YAML document as plain values. Raises WorkloadError for a file that is missing or no mapping in YAML."""
    where = f"{path.parent.name}/{path.name}"
    try:
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 # nosec B506 # both are safe
        digest(document if isinstance(document, dict) else {})
    except FileNotFoundError:
        raise WorkloadError(where=where, field="(file)", expected="a file", came="none") from None
    except yaml.MarkedYAMLError as error:
        raise _no_yaml(error, where) from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # YAML's reader raises ValueError for a date that no calendar has, AttributeError for `!!timestamp x`, KeyError
        # for `!!bool x` and IndexError for `!!int ''`. The digest fails for a value that holds itself, for a key that
        # is no text and for values nested too deep.
        raise WorkloadError(where=where, field="(file)", expected="YAML", came=str(error)) from None
    if not isinstance(document, dict):
        raise WorkloadError(where=where, field="(file)", expected="a mapping", came=document)
    return document


def _no_yaml(error: yaml.MarkedYAMLError, where: str) -> WorkloadError:
    """The reader's error, with the line and column where the reader stopped, counted from 1, as the field."""
    mark, begun = error.problem_mark, error.context_mark
    field = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(file)"
    # What the reader was at is often lines above: `while parsing a flow sequence` of a bracket that is not closed.
    context = f" {error.context}" if error.context else ""
    since = f" from line {begun.line + 1} on" if begun and context else ""
    return WorkloadError(where=where, field=field, expected="YAML", came=f"{error.problem}{context}{since}")


def digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of the document in canonical JSON, 64 hexadecimal digits."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class _Reader:
    """Reads the document from top to bottom; every WorkloadError names its field."""

    def __init__(self, where: str) -> None:
        self.where = where

    def contract(self, document: dict[str, Any]) -> Contract:
        objects = {entry.get("name"): (i, entry) for i, entry in enumerate(document.get("schema") or ())}
        for name in ("rows", "labels"):
            if name not in objects:
                self._stop("schema", f"an object named {name!r}", sorted(str(key) for key in objects))
        owner = owner_of(document)
        rows, labels = (self._table(*objects[name], owner=owner) for name in ("rows", "labels"))
        # A file of whole rows is also a file of labels: the other columns of `rows` are there and not read.
        others = [name for name in rows.name_of if name not in labels.name_of]
        contract = Contract(
            rows=rows,
            labels=replace(labels, ignored=(*labels.ignored, *others)),
            digest=digest(document),
            freshness=self._read("slaProperties", document.get("slaProperties") or [], read_freshness),
        )
        self._check_labels(contract)
        return contract

    def _read(self, field: str, value: Value, read: Callable[[Value], Found]) -> Found:
        """What `read` makes of the value. The message of its ValueError is what was expected."""
        try:
            return read(value)
        except ValueError as error:
            self._stop(field, str(error), value)

    def _check_labels(self, contract: Contract) -> None:
        """Both tables must have one label or several booleans, the same ones, and each must be able to find its row."""
        for table in (contract.rows, contract.labels):
            labels = [column for column in table.columns if column.label]
            is_one = len(labels) == 1 or (labels and all(c.kind == "boolean" and not c.names for c in labels))
            if not is_one:
                expected = "one property with the custom property role: label, or several booleans without classNames"
                self._stop(f"schema.{table.name}", expected, [column.name for column in labels])
            by_id = [column.name for column in table.columns if column.generated == PREDICTION_ID]
            if by_id and PREDICTION_ID not in table.names:
                self._stop(f"schema.{table.name}", f"the property {PREDICTION_ID}, which fills it", by_id)
        # A generated id or order is made from the file of the labels, so it equals that of no row.
        if made := [c.name for c in contract.labels.columns if c.generated in ("row_id", "row_order")]:
            self._stop("schema.labels", "no generated row_id or row_order, which would find no row", made)
        for label in contract.label_columns:
            if label.name not in contract.labels.names:
                self._stop("schema.labels", f"the label {label.name!r}", list(contract.labels.names))
        for column in contract.labels.columns:
            same = contract.rows.column(column.name) if column.name in contract.rows.names else column
            came, expected = (f"a {one.kind} {', '.join(one.names)}".strip() for one in (column, same))
            if came != expected:
                self._stop(f"schema.labels, column `{column.name}`", f"{expected}, as in schema.rows", came)

    def _table(self, index: int, entry: dict[str, Any], *, owner: str) -> Table:
        custom = self._custom(f"schema.{index}", entry, TABLE_PROPERTIES)
        field = f"schema.{index}.properties"
        properties: list[dict[str, Any]] = entry.get("properties") or self._stop(field, "at least one property", "none")
        at = f"schema.{index}.customProperties"
        # The columns; a column without words of its own for missing cells takes those of its table.
        missing = self._words(f"{at}.missingValues", custom.get("missingValues", []))
        columns: tuple[Column, ...] = ()
        for i, prop in enumerate(properties):
            columns = (*columns, self._column(f"{field}.{i}", prop, missing, columns))
        names = [column.name for column in columns]
        names += [column.formerly for column in columns if column.formerly]
        if len(set(names)) != len(names) or any(name.startswith("_") for name in names):
            self._stop(field, "names, those of `formerly` too, that differ and do not start with '_'", names)
        # The rules on rows together. A key may be declared in three ways, and the same one in several of them.
        table = Table(name=str(entry["name"]), columns=columns)
        table = self._with_row_rules(f"schema.{index}.quality", entry.get("quality") or (), table)
        of_cells = (
            rule for i, prop in enumerate(properties) for rule in self._drop_rules(f"{field}.{i}", prop, columns[i])
        )
        placed = sorted(properties, key=lambda prop: int(prop.get("primaryKeyPosition") or 1))
        keys = [
            tuple(str(prop["name"]) for prop in placed if prop.get("primaryKey")),
            *((column.name,) for column in columns if column.unique),
            *table.keys,
        ]
        table = replace(
            table,
            keys=tuple(dict.fromkeys(key for key in keys if key)),
            drop_rules=(*table.drop_rules, *of_cells),
            csv=self._read(f"{at}.csv", custom.get("csv", {}), read_csv_form),
            ignored=self._words(f"{at}.ignoredColumns", custom.get("ignoredColumns", []), as_they_are=True),
            owner=str(custom.get("owner") or owner)[:MOST_OWNER],
        )
        # In this order: the names in `csv` are known before they are translated, and missing numbers are read as `csv`
        # writes them.
        self._check_names(f"schema.{index}", table)
        table = replace(table, csv=self._by_names_in_files(f"{at}.csv", table)).with_missing_values()
        for place, column in enumerate(table.columns):
            if both := sorted(value for value in column.allowed if column.means_missing(value)):
                self._stop(f"{field}.{place}.customProperties.missingValues", NOT_ALLOWED, both)
        return table

    def _check_names(self, field: str, table: Table) -> None:
        """Check that a name in a file means one column, and that `csv.columns` has every column that a file must have.

        Raises WorkloadError otherwise."""
        own = (name for c in table.columns for name in ({c.name} if c.part else {c.name, c.name_in_file}))
        meant = [*table.ignored, *table.shared, *own]
        if twice := sorted({name for name in meant if meant.count(name) > 1}):
            self._stop(field, "names, physical names and ignored columns that differ", twice)
        if not (listed := table.csv.columns):
            return
        unknown = [name for name in listed if name not in table.name_of]
        needed = [c.name_in_file for c in table.columns if c.is_expected and not {c.name, c.name_in_file} & set(listed)]
        if unknown or needed:
            expected = "physical names of the columns, each required one among them, and ignored columns"
            self._stop(f"{field}.customProperties.csv", expected, f"unknown: {unknown}, missing: {needed}")

    def _by_names_in_files(self, field: str, table: Table) -> CsvForm:
        """The form of the CSV files, with each listed column by its name in files."""
        in_files = {column.name: column.name_in_file for column in table.columns}
        listed = tuple(in_files.get(name, name) for name in table.csv.columns)
        if twice := sorted({name for name in listed if listed.count(name) > 1}):
            self._stop(field, "physical names of the columns, each once", f"twice: {twice}")
        return replace(table.csv, columns=listed)

    def _words(self, field: str, value: object, *, as_they_are: bool = False) -> tuple[str, ...]:
        return self._read(field, value, lambda words: read_words(words, as_they_are=as_they_are))

    def _time_format(self, field: str, kind: Kind, value: object) -> TimeFormat | None:
        if value is None:
            return None
        if kind not in TIMES or not isinstance(value, str):
            self._stop(field, "a text, on a date or a timestamp", value)
        found = TimeFormat(value)
        self._read(field, value, lambda _: found.check(kind))
        return found

    def _missing_words(
        self, field: str, value: object, of_table: tuple[str, ...], kind: Kind, rules: Sequence[Rule]
    ) -> tuple[str, ...]:
        """The words for missing cells: the column's own, or else its table's.

        Raises WorkloadError for a word that is also a value of the column."""
        words = of_table if value is None else self._words(field, value)
        allowed = {each for rule in rules if isinstance(rule, Allowed) for each in rule.values}
        if both := sorted(
            word for word in words if word in allowed or (kind == "boolean" and word.lower() in BOOLEANS)
        ):
            self._stop(field, NOT_ALLOWED, both)
        return words

    def _column(self, field: str, prop: dict[str, Any], missing: tuple[str, ...], before: Sequence[Column]) -> Column:
        # `timezone` and `format` leave the options here; all that remain are words of rules.
        options = dict(prop.get("logicalTypeOptions") or {})
        kind = self._kind(field, prop, options)
        time_format = self._time_format(f"{field}.logicalTypeOptions.format", kind, options.pop("format", None))
        # The words of rules are collected from four places of the property.
        declaration = Declaration(where=self.where, field=field, kind=kind)
        for word, value in options.items():
            declaration.add(word, f"{field}.logicalTypeOptions.{word}", value)
        metrics = self._metrics(field, prop.get("quality") or (), declaration)
        if prop.get("enum"):
            declaration.add("validValues", f"{field}.enum", prop["enum"])
        custom = self._custom(field, prop, COLUMN_PROPERTIES)
        for word in RULE_PROPERTIES:
            if word in custom:
                declaration.add(word, f"{field}.customProperties.{word}", custom[word])

        def own(
            word: str, read: Callable[[Any], Found], of: Callable[[Found], Sequence[Kind]] | None = None
        ) -> Found | None:
            at = f"{field}.customProperties.{word}"
            found = self._read(at, custom[word], read) if word in custom else None
            if found and of and kind not in of(found):
                self._stop(at, f"a column of {' or '.join(of(found))}", f"a {kind}")
            return found

        if custom.get("role", "label") not in ROLES:
            self._stop(f"{field}.customProperties.role", " or ".join(ROLES), custom["role"])
        # Of columns before it alone, so none goes in a circle. A request lacks the label, and a drop what is ahead.
        kinds = {column.name: column.kind for column in before if not (column.label or column.ahead)}
        derived = None
        if (logic := prop.get("transformLogic")) is not None:
            read = partial(read_expression, kind=kind, kinds=kinds)
            derived = self._read(f"{field}.transformLogic", logic, read)
            if others := [word for word in NOT_DERIVED if prop.get(word) or word in custom]:
                self._stop(field, "a derived column, which no file need have", others)
        # Each rule takes its words; `close` refuses the words that are left.
        rules = tuple(rule for each in RULES if kind in each.kinds for rule in each.declared(declaration))
        declaration.close()
        repaired: Mapping[str, str | None] = own("repair", read_repair, lambda _: ("string",)) or {}
        at, given = f"{field}.customProperties.missingValues", custom.get("missingValues")
        words = self._missing_words(at, given, missing, kind, rules)
        column = Column(
            name=str(prop["name"]),
            kind=kind,
            required=bool(prop.get("required") or prop.get("primaryKey") or metrics & {NULL, MISSING}),
            unique=bool(prop.get("unique") or "duplicateValues" in metrics),
            label=custom.get("role") == "label",
            is_protected=custom.get("role") == "protected",
            generated=self._generated(field, kind, custom.get("generated")),
            physical_name=None if prop.get("physicalName") == prop["name"] else prop.get("physicalName"),
            time_format=time_format,
            part=own("part", read_part, lambda part: ("boolean",) if part.tag else NUMBERS),
            number_format=own("numberFormat", read_number_format, lambda _: NUMBERS),
            mapped=tuple((text, other) for text, other in repaired.items() if other is not None),
            missing_words=(*words, *(text for text, other in repaired.items() if other is None)),
            is_input=bool(own("input", read_truth)),
            unit=str(custom.get("unit", "")),
            formerly=str(custom.get("formerly", "")),
            ahead=own("ahead", read_ahead),
            derived=derived,
            rules=rules,
        )
        classes = column.classes if column.label else ()
        return replace(column, names=own("classNames", lambda given: read_names(classes, given)) or ())

    def _custom(self, field: str, entry: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
        """The custom properties of an object or a column, by name.

        The standard allows any name. Raises WorkloadError for a name that is not `known`: nothing would read it."""
        if linked := entry.get("relationships"):
            self._stop(f"{field}.relationships", "none: queries.<name>.joins of workload.yaml joins tables", linked)
        custom = {each["property"]: each["value"] for each in entry.get("customProperties") or ()}
        if unknown := sorted(custom.keys() - set(known)):
            self._stop(f"{field}.customProperties", ", ".join(known) or "none on an object", ", ".join(unknown))
        return custom

    def _generated(self, field: str, kind: Kind, value: Generated | None) -> Generated:
        if value is not None and (not isinstance(value, str) or kind not in GENERATED.get(value, ())):
            expected = "event_time or row_order, on a timestamp; or row_id or prediction_id, on a text"
            self._stop(f"{field}.customProperties.generated", expected, f"{value} on a {kind}")
        return value or ""

    def _kind(self, field: str, prop: dict[str, Any], options: dict[str, Any]) -> Kind:
        logical, physical = str(prop.get("logicalType")), str(prop.get("physicalType") or "")
        kinds = DECLARED_TYPES.get(logical) or self._stop(
            f"{field}.logicalType", f"one of {', '.join(DECLARED_TYPES)}", logical
        )
        physical = re.sub(r"\(.*\)$", "", physical).upper()
        if physical not in kinds:
            self._stop(f"{field}.physicalType", f"one of {', '.join(filter(None, kinds))}", physical)
        zoned = options.pop("timezone", False) if logical == "timestamp" else False
        return "timestamp_utc" if zoned else kinds[physical]

    def _metrics(self, field: str, quality: Sequence[dict[str, Any]], declaration: Declaration) -> set[str]:
        """The names of the metrics that no cell may break; the arguments of `invalidValues` go into `declaration`."""
        metrics = set()
        for i, rule in enumerate(quality):
            at = f"{field}.quality.{i}"
            if rule.get("type") == "text":
                continue
            metric, arguments = rule.get("metric"), rule.get("arguments") or {}
            if metric == INVALID and set(arguments) <= {"validValues", "pattern"} and (arguments or _is_of_drop(rule)):
                for word, value in arguments.items():
                    declaration.add(word, f"{at}.arguments.{word}", value)
            elif metric not in CELL_METRICS[1:] or arguments:
                expected = f"a metric of {', '.join(CELL_METRICS)}; arguments of {INVALID}: validValues or pattern"
                self._stop(at, expected, rule)
            if not _is_of_drop(rule):
                self._check_none(at, rule)
                metrics.add(metric)
        return metrics

    def _drop_rules(self, field: str, prop: dict[str, Any], column: Column) -> Iterator[DropRule]:
        """The rules on how many cells of the column a drop may have that are missing or invalid."""
        for i, rule in enumerate(prop.get("quality") or ()):
            if not _is_of_drop(rule):
                continue
            at = f"{field}.quality.{i}"
            if column.required and rule["metric"] != INVALID:
                self._stop(at, "a column that is not required: a row without it is quarantined", column.name)
            yield self._read(at, rule, partial(drop_rules.of_cells, column=column.name))

    def _with_row_rules(self, field: str, quality: Sequence[dict[str, Any]], table: Table) -> Table:
        """The table with the rules on its rows: its keys, comparisons and what a drop as a whole must be."""
        keys: list[tuple[str, ...]] = []
        comparisons: list[CellComparison] = []
        kinds = {column.name: column.kind for column in table.columns if not column.generated}
        of_drop: list[DropRule] = []
        for i, rule in enumerate(quality):
            at = f"{field}.{i}"
            match rule:
                case {"metric": "duplicateValues", "arguments": {"properties": [_, *_] as key}}:
                    self._check_none(at, rule)
                    if len(set(key) & set(table.names)) < len(key):
                        self._stop(at, f"some of {', '.join(table.names)}, each once", key)
                    keys.append(tuple(key))
                case {"metric": "rowCount"} if "arguments" not in rule:
                    of_drop.append(self._read(at, rule, drop_rules.of_rows))
                case {"type": "custom", "engine": "millrace", "implementation": str(text)} if MEANS.fullmatch(text):
                    of_drop.append(self._read(f"{at}.implementation", text, partial(drop_rules.read_mean, kinds=kinds)))
                case {"type": "custom", "engine": "millrace", "implementation": text}:
                    comparisons.append(self._read(f"{at}.implementation", text, partial(read_comparison, kinds=kinds)))
                case _ if rule.get("type") != "text":
                    self._stop(at, ROW_RULES, rule.get("metric") or rule.get("engine") or rule.get("type"))
        return replace(table, keys=tuple(keys), comparisons=tuple(comparisons), drop_rules=tuple(of_drop))

    def _check_none(self, field: str, rule: dict[str, Any]) -> None:
        """Raise WorkloadError unless the rule says `mustBe: 0`.

        A row that breaks a rule on cells is quarantined, so 0 is the only number of such rows that makes sense."""
        operators = {key: value for key, value in rule.items() if key.startswith("must")}
        if operators != {"mustBe": 0}:
            self._stop(field, "mustBe: 0 (a row that breaks the rule is quarantined)", operators)

    def _stop(self, field: str, expected: str, came: object) -> NoReturn:
        raise WorkloadError(where=self.where, field=field, expected=expected, came=came)


def _is_of_drop(rule: Mapping[str, Any]) -> bool:
    """Whether the rule on cells bounds how many of a drop may break it."""
    return rule.get("metric") in CELL_METRICS[:3] and rule.get("mustBe") != 0
