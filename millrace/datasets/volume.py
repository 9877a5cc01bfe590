"""The size of the volume of a job, by what the job reads and writes there."""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

from millrace.errors import SnapshotError

if TYPE_CHECKING:
    from millrace.features.signature import Signature

LEAST_GB, MOST_GB = 30, 16_384
"""The least holds all that is not counted: archives of models, checkpoints, logs. The most is what SageMaker gives.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html"""
UNPACKED = 12
"""The bytes of columns in memory for each byte of their Parquet files, as measured with `electricity`."""
FILES, TENSORS = 2, 3
"""How often columns and histories are in files, if rows lie in files: each file is written from the one before it. And
how often tensors are: for the model, for a model of earlier days, and for the rows that it is judged on."""
ITEM_BYTES = {"float32": 4, "int64": 8, "uint8": 1}


def volume_gb(needed: int) -> int:
    """The GB of a volume for so many bytes beside LEAST_GB. Raises SnapshotError above MOST_GB."""
    size = LEAST_GB + ceil(needed / 2**30)
    if size > MOST_GB:
        raise SnapshotError(f"expected what fits a job's volume of {MOST_GB:,} GB, got what needs {size:,} GB")
    return size


def bytes_of_rows(stored: int, rows: int, signature: Signature, *, processes: int) -> int:
    """What a training writes at most on each instance, beside the `stored` bytes of Parquet that it reads.

    If the rows do not fit into memory, each process has files of them."""
    histories = tuple(spec for spec in signature if spec.kind == "history")
    columns = UNPACKED * stored + rows * tensor_bytes(histories)
    return stored + processes * (FILES * columns + TENSORS * rows * tensor_bytes(signature))


def tensor_bytes(signature: Signature) -> int:
    """The bytes of one row in these tensors."""
    return sum(prod(size or 0 for size in spec.shape) * ITEM_BYTES[spec.dtype] for spec in signature)
