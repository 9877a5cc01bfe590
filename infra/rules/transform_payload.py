"""Rule: requests of a batch transform fit into 100 MB at once, only split records go together, and streams go whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.rules.assembly import Stack, given, tasks
from infra.rules.finding import Finding

MOST_MB = 100
SPLITS = ("Line", "RecordIO", "TFRecord")
STREAM, WHOLE = "application/vnd.apache.arrow.stream", ("None", "SingleRecord")


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each transform job that SageMaker would refuse."""
    for task in tasks(stacks, "createTransformJob"):
        # What a task leaves out has SageMaker's default: 6 MB, one request at a time.
        payload = given(task.parameters, "MaxPayloadInMB") or 6
        at_once = given(task.parameters, "MaxConcurrentTransforms") or 1
        if payload * at_once > MOST_MB:
            expected = f"MaxPayloadInMB × MaxConcurrentTransforms of {MOST_MB} at most"
            yield Finding(where=task.where, expected=expected, came=payload * at_once)
        split = given(task.parameters, "TransformInput", "SplitType")
        if given(task.parameters, "BatchStrategy") == "MultiRecord" and split not in SPLITS:
            yield Finding(where=task.where, expected=f"a SplitType of {', '.join(SPLITS)} with MultiRecord", came=split)
        strategy = given(task.parameters, "BatchStrategy")
        if given(task.parameters, "TransformInput", "ContentType") == STREAM and (split, strategy) != WHOLE:
            expected = f"SplitType {WHOLE[0]} with {WHOLE[1]}, stated, for a stream that has no records to split"
            yield Finding(where=task.where, expected=expected, came=f"{split} with {strategy}")
