"""The words of `contract.yaml` on the cells of one column, from which each rule takes its own."""

from __future__ import annotations

from typing import Any, NoReturn

from millrace.contract.kinds import Kind
from millrace.errors import WorkloadError


class Declaration:
    """The words that declare rules on a column, with their values, for example `{"minimum": 0, "maximum": 100}`.

    They come from `logicalTypeOptions`, from `enum`, from the arguments of the metric `invalidValues` and from the
    custom properties of rules, such as `image`."""

    def __init__(self, *, where: str, field: str, kind: Kind) -> None:
        self.kind = kind
        self._where, self._field = where, field
        self._fields: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def add(self, word: str, field: str, value: Any) -> None:
        """Add a word. Raises WorkloadError if it is there already: one of the two values would be ignored."""
        if word in self._fields:
            raise WorkloadError(where=self._where, field=field, expected=f"{word} once", came=value)
        self._fields[word], self._values[word] = field, value

    def take(self, word: str) -> Any:
        """The value of the word, which then counts as read; None if the contract does not have it."""
        return self._values.pop(word, None)

    def take_count(self, word: str) -> int | None:
        """As `take`, for a whole number from 0. Raises WorkloadError for another value."""
        value = self.take(word)
        if value is not None and (type(value) is not int or value < 0):
            self.refuse(word, "a whole number from 0", value)
        return value

    def refuse(self, word: str, expected: str, value: object) -> NoReturn:
        """Raise WorkloadError for the value of a word, with the place of the word in the contract."""
        raise WorkloadError(where=self._where, field=self._fields[word], expected=expected, came=value)

    def close(self) -> None:
        """Raise WorkloadError if a word is left that no rule took: a rule that nothing checks is worse than none."""
        if self._values:
            expected = f"options that are checked for a {self.kind}"
            field = f"{self._field}.logicalTypeOptions"
            raise WorkloadError(where=self._where, field=field, expected=expected, came=sorted(self._values))
