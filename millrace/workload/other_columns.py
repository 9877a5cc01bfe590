"""What a row carries to the endpoint beside the declared features."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millrace.contract.schema import Table
    from millrace.workload.declaration import Prediction


def other_columns(prediction: Prediction, table: Table) -> tuple[str, ...]:
    """The contract's columns of a row to predict that no declared feature reads, without images and protected ones.

    The live version was trained under the declaration of its time. Until the next one passes its gates it takes its
    own features from all that a row has, so that a feature can be declared, or taken back, without an outage."""
    return tuple(
        column.name
        for column in table.columns
        if column.name not in prediction.inputs and column.kind != "binary" and not column.is_protected
    )
