"""How many rows of each feed came within its bound, and how many of them were refused: items `refused#<feed>`.

    refused#labels = {"rows": {"N": "14400"}, "refused": {"N": "144"}}       usually 1 % of the labels are refused

A drop is judged against FACTOR times the usual share, at least against the declared one:

    2 % refused    ratio 0.4   within a declared bound of 5 %: the drop counts for the usual share
    60 % refused   ratio 12    above it: the drop does not count, so the bound does not follow what is wrong
"""

from __future__ import annotations

from millrace.state.table import StateTable

PREFIX = "refused#"
FACTOR = 3
"""The bound is FACTOR times the usual share."""
LEAST_ROWS = 20
"""With fewer rows one of them is too large a share: they have the ratio 0, and do not count for the usual share."""


class RefusedRows:
    """The shares of refused rows of the workload's feeds."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def ratio(self, feed: str, *, rows: int, refused: int, declared: float) -> float:
        """The share of refused rows ÷ its bound; above 1 it alarms. Rows within the bound count for the usual share."""
        if rows < LEAST_ROWS:
            return 0.0
        item = self._table.get(f"{PREFIX}{feed}")
        before, refused_before = (int(item.get(name, {"N": "0"})["N"]) for name in ("rows", "refused"))
        usual = refused_before / before if before else 0.0
        ratio = refused / rows / min(1.0, max(declared, FACTOR * usual))
        if ratio <= 1:
            self._table.update(f"{PREFIX}{feed}", "ADD #rows :rows, refused :refused", rows=rows, refused=refused)
        return ratio

    def shares(self) -> dict[str, float]:
        """By feed: the usual share of refused rows. A feed without a drop of LEAST_ROWS is left out."""
        items = self._table.items(PREFIX)
        return {feed: int(item["refused"]["N"]) / int(item["rows"]["N"]) for feed, item in items.items()}
