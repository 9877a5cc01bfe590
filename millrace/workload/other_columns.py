"""The columns that a row brings to the endpoint although no declared feature reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.workload.declaration import Prediction


def other_columns(prediction: Prediction, table: Table) -> tuple[str, ...]:
    """The names of the table's columns that no declared feature reads, without images and protected columns.

    The live version was trained under an older declaration, and its features may be others. It finds them in all that a
    row brings. So a feature can be declared, or taken back, without an outage until the next version is live."""
    return tuple(
        column.name
        for column in table.columns
        if column.name not in prediction.inputs and column.kind != "binary" and not column.is_protected
    )
