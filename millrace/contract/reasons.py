"""The reasons why a row or a whole drop is quarantined: every code, stated once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """A reason of a refusal. Its value is what the quarantine table, the prediction API and the console show."""

    # The whole drop cannot be read as rows.
    MISSING = "missing"
    """The object or its version is gone."""
    EMPTY = "empty"
    """No row."""
    FOREIGN = "foreign"
    """Another format, or the columns of another table."""
    TRUNCATED = "truncated"
    """A file of Parquet, gzip or zip that is cut off."""
    CORRUPT = "corrupt"
    """A file of Parquet, gzip or zip that cannot be read."""
    TOO_LARGE = "too_large"
    """A limit of a file is exceeded. Also a row of a request with a decision that is too large for a message."""
    BUSY = "busy"
    """Other drops brought keys of a large file into its table each time that a job had judged it."""
    BUDGET = "budget"
    """The month's budget has no room for the job of a large file."""
    COLUMN_TYPE = "column_type"
    """A Parquet column whose type cannot hold the contract's cells."""

    # A line, or the whole drop.
    ENCODING = "encoding"
    """Not in the contract's encoding, or with a NUL."""
    COLUMNS = "columns"
    """Other columns than the contract's, or a line with too few or too many cells."""

    # A line cannot be read as a row.
    QUOTE = "quote"
    """CSV quotes that do not close."""
    JSON = "json"
    """A line that is not a JSON object."""
    UNKNOWN_FIELD = "unknown_field"
    """A field of JSON lines that the contract does not know."""
    TYPE = "type"
    """A cell that is not of its column's type."""

    # A cell breaks a rule of its column (`millrace.contract.rules`).
    REQUIRED = "required"
    """No value in a column that must have one."""
    NOT_FINITE = "not_finite"
    """NaN or infinity in a float column."""
    RANGE = "range"
    """Outside the column's bounds."""
    ALLOWED = "allowed"
    """Not one of the listed values."""
    LENGTH = "length"
    """A text or binary cell that is too short or too long."""
    PATTERN = "pattern"
    """A text without a match of the column's expression."""
    MULTIPLE_OF = "multiple_of"
    """Not a multiple of the declared number."""
    IMAGE = "image"
    """Another encoding or size than the contract's, by length and header; or image data that cannot be decoded."""

    COMPARISON = "comparison"
    """Two cells do not compare as the contract says."""

    # A row that keeps the contract has no answer.
    MODEL = "model"
    """The live version does not take one of its cells, or its answer is not finite or not in its range."""

    # Rows together.
    HISTORY = "history"
    """Nothing is known of the entity at the oldest step of a history, or before it."""
    DUPLICATE_KEY = "duplicate_key"
    """The table, or an earlier row of the file, has the row's key."""


RowsByReason = Mapping[Reason, int]
"""The number of quarantined rows, by the first reason of each row."""
