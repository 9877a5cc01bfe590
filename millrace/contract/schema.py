"""The light model of a data contract: the part of the Open Data Contract Standard that the runtime needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from millrace.contract.ahead import Ahead
from millrace.contract.comparison import CellComparison
from millrace.contract.csv_form import OWNER, CsvForm
from millrace.contract.drop_rules import DropRule
from millrace.contract.expression import Expression
from millrace.contract.freshness import AllowedAge
from millrace.contract.kinds import FLOAT32_MAX, FLOATS, FORMS, INTEGERS, TIMES, Kind, arrow_type, parse_cell, to_float
from millrace.contract.number_format import NumberFormat
from millrace.contract.parts import CellPart, own_cells
from millrace.contract.rules.allowed import Allowed
from millrace.contract.rules.finite import Finite
from millrace.contract.rules.range import usual_numbers
from millrace.contract.rules.required import Required
from millrace.contract.rules.rule import Rule
from millrace.contract.time_format import TimeFormat

if TYPE_CHECKING:
    import pyarrow as pa

Feed = Literal["training", "scoring", "labels"]
FEEDS: tuple[Feed, ...] = ("training", "scoring", "labels")
LINE = "_line"
"""The column with a row's line in its text file, or its row in its Parquet file, counted from 1."""
Generated = Literal["", "event_time", "row_order", "row_id", "prediction_id"]
R = TypeVar("R", bound=Rule)
PREDICTION_ID = "prediction_id"
"""The column in which a label may name its decision."""
SOURCE = "_source"
"""The column with the landing key that a row came from."""
ARRIVED = "_arrived"
"""The column with the time when the object of a row or label came, in UTC: of labels with one key the later counts."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column and every rule on its cells."""

    name: str
    kind: Kind
    required: bool = False
    unique: bool = False
    label: bool = False
    """True for the column whose custom property `role` is `label`."""
    is_protected: bool = False
    """Whether the column says who a person is, or what the law protects of a person (`role: protected`).

    `millrace new` proposes no feature of it."""
    generated: Generated = ""
    """What ingestion puts into an empty cell (property `generated`): "" nothing, `event_time` the time of the drop's
    object, `row_order` that time plus a microsecond for each line before, `row_id` an id made of the object's digest
    and the line, `prediction_id` the row's own cell of that column, which is the id of a row without one."""
    physical_name: str | None = None
    """The column's name in files, if that is another."""
    formerly: str = ""
    """The column's name before (property `formerly`): the table's column of that name becomes this one."""
    time_format: TimeFormat | None = None
    """How files write the column's times, if not in ISO 8601."""
    number_format: NumberFormat | None = None
    """How text holds the column's numbers, if not as the table's CSV files and JSON have them."""
    missing_words: tuple[str, ...] = ()
    """The texts that stand for a missing cell."""
    mapped: tuple[tuple[str, str], ...] = ()
    """In a column of texts: texts that stand for another one, and that one (`repair: {map: …}`)."""
    missing_numbers: frozenset[float] = frozenset()
    """In a column of numbers: the numbers among `missing_words`.

    Their value stands for a missing cell in every format: -999 also as -999.0, and 0 also as -0.0. In a column of whole
    numbers they are exact, in a column of floats the nearest float64."""
    missing_times: frozenset[date] = frozenset()
    """In a column of times: the times among `missing_words`.

    1900-01-01 stands for a missing cell also as a time of Parquet, or in ISO 8601."""
    derived: Expression | None = None
    """How the cell is computed of others of its row (`transformLogic`); a file or a request need not bring it."""
    is_input: bool = False
    """Of a label: whether its value is known with the row, since the label of a later row is predicted (`input`)."""
    ahead: Ahead | None = None
    """Which column's cell of a later row it holds (`ahead`); None of the row's own moment."""
    is_read_by_models: bool = False
    """Whether the column's numbers become tensors, which are float32. The workload says so, not the contract."""
    names: tuple[str, ...] = ()
    """What people call the `classes` of a label, in their order (`classNames`); empty: each is called by its value."""
    unit: str = ""
    """What a number counts, for people (property `unit`), for example µg/m³."""
    part: CellPart | None = None
    """What the column takes of a cell that it shares with other columns, if it has none of its own in files."""
    rules: tuple[Rule, ...] = ()
    """The declared rules, in the order of the catalogue; at most one of each class."""
    takes_unlisted: bool = False
    """Whether a value outside of the contract's list breaks no rule: in rows to score, unless the list is strict."""

    def means_missing(self, value: object) -> bool:
        """Whether the text or the number of JSON stands for a missing cell."""
        if isinstance(value, str):
            return value in self.missing_words or self._is_missing_time(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.missing_numbers:
            return False
        return (value if self.kind in INTEGERS else to_float(value)) in self.missing_numbers

    def meant(self, value: object) -> object:
        """The number or the other text that a text stands for in this column, and of a boolean the truth of 0 and 1.

        Any other value, or text, as it is."""
        if self.mapped and isinstance(value, str):
            return next((other for text, other in self.mapped if text == value), value)
        if self.kind == "boolean" and type(value) is int and value in (0, 1):
            return bool(value)
        if self.number_format is None or not isinstance(value, str):
            return value
        with suppress(ValueError):
            return self.number_format.value_of(value)
        return value

    def time_of(self, text: str) -> date:
        """The time that the text stands for in this column: as the column's files write it, or in ISO 8601.

        Raises ValueError for another text."""
        if self.time_format:
            with suppress(ValueError):
                return self.time_format.parse(text, self.kind)
        found: date = parse_cell(text, self.kind)
        return found

    def _is_missing_time(self, text: str) -> bool:
        if not self.missing_times:
            return False
        with suppress(ValueError):
            return self.time_of(text) in self.missing_times
        return False

    @property
    def is_filled(self) -> bool:
        """Whether an empty cell gets a value: it is generated or derived."""
        return bool(self.generated or self.derived)

    def first_time(self, at: datetime) -> datetime:
        """`at`, when the rows came, as a generated column holds it: in UTC, without a zone if the column has none."""
        utc = at.astimezone(UTC)
        return utc if self.kind == "timestamp_utc" else utc.replace(tzinfo=None)

    @property
    def time_step(self) -> timedelta:
        """In a generated column of times: the distance from one row's time to the next row's.

        It is a microsecond for `row_order`, the smallest step that Iceberg keeps: the rows of a file stay in order and
        within seconds of each other. Else it is 0."""
        return timedelta(microseconds=1 if self.generated == "row_order" else 0)

    @property
    def is_expected(self) -> bool:
        """Whether a file without the column is refused whole.

        A label that is also an input is such a column: later rows need it as their past."""
        return (self.required or self.is_input) and not self.is_filled

    @cached_property
    def checks(self) -> tuple[Rule, ...]:
        """Every rule on the column's cells: the rules that `required` and a float kind imply, then `rules`."""
        # The same order as in the catalogue: a missing cell first, then one that is not finite.
        required = (Required(),) if self.required else ()
        bounded = self.is_read_by_models and self.kind == "float64"
        finite = (Finite(largest=FLOAT32_MAX) if bounded else Finite(),) if self.kind in FLOATS else ()
        rules = (rule for rule in self.rules if not (self.takes_unlisted and isinstance(rule, Allowed)))
        return (*required, *finite, *rules)

    @cached_property
    def usual(self) -> tuple[Any, float, float]:
        """See `usual_numbers`."""
        return usual_numbers(self.kind, self.checks)

    @property
    def has_own_words(self) -> bool:
        """Whether a value of JSON may stand for another one: by a word, a format, or as 0 and 1 for a truth."""
        formats = self.number_format or self.time_format or self.mapped or self.kind == "boolean"
        return bool(formats or self.missing_words or self.missing_numbers or self.missing_times)

    @property
    def name_in_file(self) -> str:
        own = self.name if self.physical_name is None else self.physical_name
        return self.part.of if self.part else own

    @property
    def form(self) -> str:
        """What a cell must be, for people, for example `a time written as MM/dd/yyyy`."""
        if self.number_format:
            return self.number_format.form
        if self.time_format:
            return f"a {'date' if self.kind == 'date' else 'time'} written as {self.time_format.pattern}"
        return FORMS[self.kind]

    @property
    def allowed(self) -> tuple[str | int, ...]:
        """The values that a cell may have, in the order of the contract; () if the contract lists none."""
        found = self.find(Allowed)
        return found.values if found else ()

    @property
    def classes(self) -> tuple[str | int | bool, ...]:
        """The values that a cell may have, those of a boolean too; () for any other column without a list."""
        return (False, True) if self.kind == "boolean" else self.allowed

    def word(self, value: Any) -> Any:
        """What people call the value (`late` for 1): itself without names, a list or values by column too."""
        return dict(zip(self.classes, self.names, strict=True)).get(value, value) if self.names else value

    def find(self, kind: type[R]) -> R | None:
        """The declared rule of this class, None if the column has none."""
        return next((rule for rule in self.rules if isinstance(rule, kind)), None)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns of a table or a feed, in order, and the rules on its rows together."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    """Each key is one or more columns; two rows never have equal cells in all of them."""
    comparisons: tuple[CellComparison, ...] = ()
    drop_rules: tuple[DropRule, ...] = ()
    csv: CsvForm = field(default_factory=CsvForm)
    ignored: tuple[str, ...] = ()
    """The names of columns in files that are not read."""
    owner: str = OWNER
    """Who answers for what comes in: its property `owner`, or else the contract's `team` and `support`."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def plain_names(self) -> frozenset[str]:
        """The columns whose cells of a request stay as they are."""
        return frozenset(column.name for column in self.columns if not column.has_own_words)

    @cached_property
    def derived(self) -> Mapping[str, Expression]:
        """How each derived column is computed, in an order in which each reads none that comes later."""
        return {column.name: column.derived for column in self.columns if column.derived}

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def with_missing_values(self) -> Table:
        """The same table, with what `missing_words` mean as numbers, as `csv` writes them, and as times."""
        return replace(self, columns=tuple(map(self._with_missing_values, self.columns)))

    def _with_missing_values(self, column: Column) -> Column:
        if column.kind in TIMES:
            return replace(column, missing_times=frozenset(_times(column)))
        if column.kind not in (*INTEGERS, *FLOATS):
            return column
        found = {value for word in column.missing_words if (value := self.csv.value_of(word)) is not None}
        if column.kind in FLOATS:
            found = {to_float(value) for value in found}
        # A float32 cell of Parquet holds the nearest float32, which is another number than the word's: of 0.1 it is
        # 0.10000000149. Both stand for a missing cell.
        nearest = {to_float(value, "float32") for value in found} if column.kind == "float32" else set[float]()
        return replace(column, missing_numbers=frozenset(found | nearest))

    @cached_property
    def name_of(self) -> dict[str, str]:
        """The name of a column, by every name that it may have in a file or a request; "" for an ignored column."""
        ignored = dict.fromkeys(self.ignored, "")
        known = {name: c.name for c in self.columns for name in (c.name, c.name_in_file)}
        return ignored | known | {name: name for name in self.shared}

    @cached_property
    def shared(self) -> dict[str, tuple[Column, ...]]:
        """The columns of each cell of a file that several columns share, by the cell's name."""
        names = dict.fromkeys(column.part.of for column in self.columns if column.part)
        return {name: tuple(c for c in self.columns if c.part and c.part.of == name) for name in names}

    @cached_property
    def open_lists(self) -> tuple[tuple[Column, Allowed], ...]:
        """The columns that take a value outside of their list, each with the list."""
        return tuple((c, rule) for c in self.columns if c.takes_unlisted and (rule := c.find(Allowed)))

    def parted(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row with the cells of its columns in place of those that they share.

        What is no list stays as the cell of each of its columns, which then is of a wrong type."""
        if not self.shared:
            return row
        found = dict(row)
        for name, columns in self.shared.items():
            if name not in found:
                continue
            cell = found.pop(name)
            parts = [column.part for column in columns if column.part]
            plain = [column.kind in (*INTEGERS, *FLOATS) and not column.number_format for column in columns]
            owns = own_cells(None if columns[0].means_missing(cell) else cell, parts, plain)
            for column, own in zip(columns, owns, strict=True):
                found.setdefault(column.name, own)
        return found

    def column(self, name: str) -> Column:
        """The column of this name. Raises KeyError if the table has none."""
        return self._by_name[name]

    def without(self, name: str) -> Table:
        """The same table without this column and those derived of it, and without the keys and comparisons of them."""
        gone = {name}
        for other, expression in self.derived.items():
            gone |= {other} if gone & {*expression.sources} else set()
        in_files = {self.column(each).name_in_file for each in gone}
        return replace(
            self,
            columns=tuple(column for column in self.columns if column.name not in gone),
            keys=tuple(key for key in self.keys if not gone & {*key}),
            comparisons=tuple(rule for rule in self.comparisons if not gone & {*rule.columns}),
            csv=replace(self.csv, columns=tuple(each for each in self.csv.columns if each not in in_files)),
        )


def _times(column: Column) -> Iterator[date]:
    """The missing words of the column that are times; another word, such as `NA`, is left out."""
    for word in column.missing_words:
        with suppress(ValueError):
            yield column.time_of(word)


def arrow_schema(table: Table) -> pa.Schema:
    """The columns of `table`, in order. All are nullable: `required` is a rule, so that a null gets its reason."""
    import pyarrow as pa

    return pa.schema([(column.name, arrow_type(column.kind)) for column in table.columns])


def parsed_schema(table: Table) -> pa.Schema:
    """The columns of `table` and then `_line` (int64)."""
    import pyarrow as pa

    return arrow_schema(table).append(pa.field(LINE, pa.int64()))


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The two tables that every workload declares, and the digest of the document that declares them."""

    rows: Table
    labels: Table
    digest: str
    """SHA-256 of the document in canonical JSON, so comments and layout do not change it."""
    freshness: AllowedAge | None = None

    @property
    def label(self) -> Column:
        """The column of the label in `rows`; the first of them if there are several."""
        return self.label_columns[0]

    @property
    def label_columns(self) -> tuple[Column, ...]:
        """The columns of the label in `rows`: one, or several booleans."""
        return tuple(column for column in self.rows.columns if column.label)

    def read_by_models(self, names: Collection[str]) -> Contract:
        """The same contract, with the columns of these names marked as read by models."""

        def marked(table: Table) -> Table:
            columns = (replace(column, is_read_by_models=column.name in names) for column in table.columns)
            return replace(table, columns=tuple(columns))

        return replace(self, rows=marked(self.rows), labels=marked(self.labels))

    def mending(self) -> Contract:
        """The same contract, for a file that mends refused rows: LINE says in which line of its first file each was."""
        rows, labels = (replace(table, ignored=(*table.ignored, LINE)) for table in (self.rows, self.labels))
        return replace(self, rows=rows, labels=labels)

    def table(self, feed: Feed) -> Table:
        """The table of this feed. `scoring` has `rows` without the label, unless the label is an input too.

        Its lists of values are open, unless they are strict."""
        if feed != "scoring":
            return self.labels if feed == "labels" else self.rows
        table = replace(self.rows, columns=tuple(map(_open, self.rows.columns)))
        for column in () if self.label.is_input else self.label_columns:
            table = table.without(column.name)
        return table


def _open(column: Column) -> Column:
    """The column as rows to score have it."""
    rule = column.find(Allowed)
    return replace(column, takes_unlisted=rule is not None and not rule.strict and not column.label)
