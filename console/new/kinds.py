"""Kinds of labels: how a kind is recognised, its column in the contract, its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from millrace.console.new.columns import Profile
from millrace.console.new.contract import column_of, column_of_classes
from millrace.console.new.read import NUMBER
from millrace.console.new.words import MISSING, is_called, words_of_name
from millrace.contract.schema import Column
from millrace.evaluation.naive.constant import BaseRate, Median
from millrace.evaluation.naive.rule import NaiveGate
from millrace.evaluation.naive.seasonal_naive import SeasonalNaive
from millrace.models.parameters import Scale

LABELS = ("label", "class", "target", "y", "outcome", "response", "truth", "churn", "churned", "survived", "fraud")
"""Names of columns that are called like a label."""
NEGATIVE = {
    "0", "0.0", "false", "no", "n", "negative", "neg", "-", "normal", "none", "healthy", "ok", "good", "nein", "nee",
    "non", "não",
}  # fmt: skip
"""Values of a label that say no."""
NOTHING = ("none", "None", "-")
"""Words that mean a missing value in most columns. In a label they may be the class of rows that have nothing."""
STEPS = {
    "low", "medium", "mid", "high", "very low", "very high", "none", "bad", "poor", "fair", "average", "good",
    "very good", "excellent", "small", "large", "minor", "moderate", "major", "severe", "critical", "mild", "never",
    "rarely", "sometimes", "often", "always", "bronze", "silver", "gold",
}  # fmt: skip
"""Words of scales: a label of these alone has an order."""
COUNTS = {
    "count", "counts", "total", "quantity", "qty", "visits", "orders", "complaints", "tickets", "clicks", "anzahl",
}  # fmt: skip
"""Words in the name of a number that counts: 3 of them are more than 2, however few values there are."""
FEWEST_COUNTED = 6
"""Whole numbers of at least so many values from 0 on count something if their numbers of rows rise once and then fall
to hardly any: 0 to 11 patients who did not come. The numbers of classes lie otherwise."""
HARDLY_ANY = 0.1
"""The rows of the largest count, as a share of those of the usual one."""
MOST_CLASSES = 200
MOST_NUMBERED = 20
"""Whole numbers of more than 20 different values are taken for amounts."""
MOST_HORIZONS = 48
"""Most horizons of a forecast. If there are more steps, every second or third is predicted."""
TAILED = 1.1
"""A label has a tail if the mean's absolute error is more than 1.1 times the median's."""
SKEWED = 1.0
"""A label with a skew above 1 is learnt as its logarithm, if that is more even."""
TAIL_HUBER = 0.03
"""The proposed `huber` for a label with a tail, in standard deviations.

A tail makes these large: with 1 a model answers about the mean, and is worse than the median."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A label that is a class: text, whole numbers or, of two classes, true and false."""

    name: str
    """The name of the kind, and of its task."""
    wanted: str
    """Describes a column that suits the kind, for errors."""
    least: int
    most: int
    """Fewest and most classes."""
    calibration: str = "0.15"
    """The bound of the calibration gate; empty if an answer is no probability."""

    def suits(self, column: Profile) -> bool:
        """Whether the column can be such a label."""
        kinds = ("string", "int64", "boolean") if self.most == 2 else ("string", "int64")
        return self.least <= column.distinct <= self.most and column.kind in kinds

    def is_likely(self, column: Profile) -> bool:
        """Whether the column is taken for such a label if no `--kind` is given."""
        is_class = column.kind != "int64" or (
            column.distinct <= MOST_NUMBERED and (self.most == 2 or not counts(column))
        )
        return self.suits(column) and is_class

    def reason(self, column: Profile) -> str:
        """Why the column is taken for such a label."""
        if self.most == 2:
            return "the label has two values"
        if column.kind == "string":
            order = (
                ", whose order is not used"
                if {*map(str.lower, column.cells.drop_null().unique().to_pylist())} <= STEPS
                else ""
            )
            return f"the label has {column.distinct} values that are words{order}"
        return f"the label has {column.distinct} values that are whole numbers, whose order is not used"

    def settings(self, column: Profile) -> Mapping[str, Any]:  # noqa: ARG002 - all kinds are called alike
        """Further keys of `prediction` in workload.yaml, with their proposed values: `{"quantiles": [0.05, 0.95]}`."""
        return {}

    def column(self, column: Profile, unit: str) -> Column:  # noqa: ARG002 - a class has no unit
        """The label's column in the contract."""
        return column_of_classes(column)

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:  # noqa: ARG002
        """The value of `horizon_hours` in workload.yaml for a label `hours` ahead of rows `every_hours` apart."""
        return hours

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        """The gate against the label `lag_hours` before, or against a rule that looks at no earlier row."""
        if lag_hours is None:
            return BaseRate(kind="base_rate", margin=0.02)
        return SeasonalNaive(kind="seasonal_naive", lag_hours=lag_hours, margin=0.01)

    def find_problem(self, values: Sequence[object]) -> str:
        """Why a model cannot be judged on labels of these values; "" if it can."""
        kinds = set(values)
        return f"only the class {next(iter(kinds))!r}" if len(kinds) == 1 else ""


@dataclass(frozen=True, kw_only=True)
class Flags(Classes):
    """Several labels of one row, each of them yes or no."""

    def suits(self, column: Profile) -> bool:  # noqa: ARG002 - no column alone is several
        return False

    def column(self, column: Profile, unit: str) -> Column:  # noqa: ARG002
        return Column(name=column.name, kind="boolean", required=True, label=True)

    def find_problem(self, values: Sequence[object]) -> str:
        each = zip(*(value for value in values if isinstance(value, list)), strict=True)
        same = [place for place, cells in enumerate(each, 1) if len(set(cells)) == 1]
        return f"only one value of label {', '.join(map(str, same))}" if same else ""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """A label that is a number: whole numbers of many values, and all other numbers."""

    name: str
    wanted: str = "a column of numbers"
    calibration: str = ""
    has_interval: bool = False
    """Whether the quantiles are predicted between which nine in ten labels lie. Only `--kind` proposes them."""
    has_steps: bool = False
    """Whether the label is predicted at each step of the rows up to `--horizon-hours`."""

    def suits(self, column: Profile) -> bool:
        return column.is_number and column.distinct > 2

    def is_likely(self, column: Profile) -> bool:
        is_amount = column.kind == "float64" or column.distinct > MOST_NUMBERED or counts(column)
        return not self.has_interval and self.suits(column) and is_amount

    def reason(self, column: Profile) -> str:
        return f"the label is a number with {column.distinct:,} values"

    def settings(self, column: Profile) -> Mapping[str, Any]:
        if self.has_interval:
            return {"quantiles": [0.05, 0.95]}
        return {"huber": TAIL_HUBER} if has_tail(column) else {}

    def column(self, column: Profile, unit: str) -> Column:
        return replace(column_of(column), required=True, label=True, unit=unit or column.unit)

    def horizon(self, hours: float, every_hours: float) -> float | list[float]:
        if not self.has_steps:
            return hours
        steps = int(hours / every_hours + 1e-9)
        every = max(1, -(-steps // MOST_HORIZONS))  # rounded up
        # From the farthest one back, so that it is always among them.
        return [round(step * every_hours, 9) for step in range(steps, 0, -every)][::-1] or hours

    def naive_rule(self, lag_hours: float | None) -> NaiveGate:
        if lag_hours is None:
            return Median(kind="median", margin=0.02)
        return SeasonalNaive(kind="seasonal_naive", lag_hours=lag_hours, margin=0.02)

    def find_problem(self, values: Sequence[object]) -> str:
        each = {amount for value in values for amount in (value if isinstance(value, list) else [value])}
        return "only one value" if len(each) == 1 else ""


LabelKind = Classes | Amounts
FLAGS = Flags(
    name="multilabel", wanted="several columns of yes and no (--label a --label b), or one of tags", least=2, most=2
)
KINDS: tuple[LabelKind, ...] = (
    Classes(name="binary", wanted="a column of two classes: text, whole numbers or true/false", least=2, most=2),
    Classes(
        name="multiclass",
        wanted=f"a column of 3 to {MOST_CLASSES} classes: text or whole numbers",
        least=3,
        most=MOST_CLASSES,
    ),
    Amounts(name="regression"),
    Amounts(name="interval", has_interval=True),
    Amounts(name="forecast", wanted="a column of numbers, with --horizon-hours", has_interval=True, has_steps=True),
    FLAGS,
)
LABEL_KINDS: dict[str, LabelKind] = {kind.name: kind for kind in KINDS}
"""The kinds of labels by name. A task without a kind is declared by hand."""


def described() -> str:
    """The kinds in words, each with the label that it is for."""
    return ", ".join(f"{name} ({kind.wanted.split(':')[0]})" for name, kind in LABEL_KINDS.items())


def likely_kind(column: Profile) -> LabelKind | None:
    """The kind for which the column is taken; None if it can be no label."""
    return next((kind for kind in KINDS if kind.is_likely(column)), None)


def label_scale(column: Profile) -> Scale:
    """The scale on which a label is learnt: `log` if no number is negative, a few are far above the others, and their
    logarithms are more even."""
    known = _finite(column)
    if not len(known) or known.min() < 0 or (skew := _skew(known)) <= SKEWED:
        return "identity"
    return "log" if abs(_skew(np.log1p(known) if known.min() == 0 else np.log(known))) < skew else "identity"


def _finite(column: Profile) -> npt.NDArray[np.float64]:
    known = np.asarray(column.cells.drop_null().to_numpy(zero_copy_only=False), dtype=np.float64)
    return known[np.isfinite(known)]


def _skew(values: npt.NDArray[np.float64]) -> float:
    """The third standardised moment; 0 if the values do not differ."""
    deviation = float(values.std())
    return float((((values - values.mean()) / deviation) ** 3).mean()) if deviation else 0.0


def has_tail(column: Profile) -> bool:
    """Whether a few numbers draw the mean far away from most of the others."""
    known = _finite(column)
    # Without a tail the mean is about as near to all numbers as the median, which is the nearest.
    of_mean, of_median = (float(np.abs(known - middle).mean()) for middle in (known.mean(), np.median(known)))
    return of_mean > TAILED * of_median


def own_classes(name: str, cells: pa.ChunkedArray, choice: str) -> tuple[str, ...]:
    """The word of NOTHING that is a class of this column, as a tuple of one; empty if there is none.

    Only a label has such a class: the column that `choice` names, or without a choice one that is called like a label.
    Beside a single other value each of the words is a class (`+` and `-`). Beside several, `none` is one (`cat`, `dog`,
    `none`) and `-` is not. If another value is a number or says no (`yes`, `no`, `none`), the word means missing."""
    if not _is_text(cells.type) or not (name == choice or (not choice and is_called(name, LABELS))):
        return ()
    # `came` are the words in question; `others` are the values that are no words for missing.
    values = {value for value in cells.unique().to_pylist() if value is not None}
    came, others = sorted(values & {*NOTHING}), values - {*MISSING}
    says_no = any(NUMBER.match(value) or value.lower() in NEGATIVE for value in others)
    if len(came) != 1 or not others or says_no or (came == ["-"] and len(others) > 1):
        return ()
    return tuple(came)


def counts(column: Profile) -> bool:
    """Whether whole numbers count something, by a word of their name (`visits_count`) or by how they lie."""
    if column.kind != "int64":
        return False
    is_named = bool(COUNTS & {*words_of_name(column.name)})
    return is_named or (not is_called(column.name, LABELS) and _lie_like_counts(column))


def _lie_like_counts(column: Profile) -> bool:
    known = column.cells.drop_null()
    low, high = pc.min_max(known).as_py().values()
    if column.distinct < FEWEST_COUNTED or low != 0 or high >= 2 * column.distinct:
        return False
    rows = np.bincount(known.to_numpy())
    usual = int(rows.argmax())
    # Chance moves the rows of a value by their square root, three times that at most.
    steps, chance = np.diff(rows), 3 * np.sqrt(np.maximum(rows[1:], rows[:-1]))
    rises, falls = (steps[:usual] >= -chance[:usual]).all(), (steps[usual:] <= chance[usual:]).all()
    return bool(rises and falls and rows[-1] <= HARDLY_ANY * rows[usual] and usual <= high / 2)


def as_flag(label: Profile) -> Profile | None:
    """The label as yes and no, if it is a column of true and false or of 0 and 1; else None."""
    if label.kind == "boolean":
        return label
    if label.kind != "int64" or not {*label.cells.drop_null().unique().to_pylist()} <= {0, 1}:
        return None
    return replace(label, kind="boolean", cells=label.cells.cast(pa.bool_()))


def two_classes(label: Profile, cells: pa.ChunkedArray) -> Profile:
    """The label as two classes, if it is two decimals (0.0 and 1.0); else itself, and so for fractions of a typed file.

    Programs that know no missing whole number write whole ones so. Text stays as it is written."""
    if label.kind != "float64" or label.distinct != 2:
        return label
    if not _is_text(cells.type):
        if any(value % 1 for value in label.cells.drop_null().unique().to_pylist()):
            return label
        return replace(label, kind="int64", cells=label.cells.cast(pa.int64()))
    trimmed = pc.ascii_trim_whitespace(cells.combine_chunks().cast(pa.string()))
    texts = pc.if_else(pc.is_valid(label.cells), trimmed, None)
    return replace(label, kind="string", cells=texts) if len(texts.drop_null().unique()) == 2 else label


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))
