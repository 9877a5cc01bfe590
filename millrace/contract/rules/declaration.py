"""What `contract.yaml` declares of the cells of one column, until every rule has taken its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from millrace.errors import WorkloadError

if TYPE_CHECKING:
    from millrace.contract.kinds import Kind


class Declaration:
    """Words of the Open Data Contract Standard with their values.

    The words are those of `logicalTypeOptions`, the arguments of the metric `invalidValues` and the custom
    properties of rules, such as `image`."""

    def __init__(self, *, where: str, field: str, kind: Kind) -> None:
        self.kind = kind
        self._where, self._field = where, field
        self._fields: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def add(self, word: str, field: str, value: Any) -> None:
        """Raises WorkloadError when the word was there before: one of the two values would be ignored."""
        if word in self._fields:
            raise WorkloadError(where=self._where, field=field, expected=f"{word} once", came=value)
        self._fields[word], self._values[word] = field, value

    def take(self, word: str) -> Any:
        """The value, None where the contract does not have the word."""
        return self._values.pop(word, None)

    def take_count(self, word: str) -> int | None:
        """The value, a whole number from 0; raises WorkloadError for another."""
        value = self.take(word)
        if value is not None and (type(value) is not int or value < 0):
            self.refuse(word, "a whole number from 0", value)
        return value

    def refuse(self, word: str, expected: str, value: object) -> NoReturn:
        raise WorkloadError(where=self._where, field=self._fields[word], expected=expected, came=value)

    def close(self) -> None:
        """Raise WorkloadError for words that no rule has taken: a rule that is never checked is worse than none."""
        if self._values:
            expected = f"options that are checked for a {self.kind}"
            field = f"{self._field}.logicalTypeOptions"
            raise WorkloadError(where=self._where, field=field, expected=expected, came=sorted(self._values))
