"""`millrace export`: a version as a package for devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.console.cli.options import Json, Target, Version
from millrace.console.cli.printing import show_json, show_rows

NO_FASTER = 1.1
"""Below so many times the speed of float32, eight bits are called no faster."""
NO_SMALLER = 0.9
"""Above this share of the size of float32, eight bits are called no smaller."""

Output = Annotated[
    Path | None, typer.Option(show_default="<workload>-edge", help="The folder to write; nothing may be in it.")
]
Int8 = Annotated[bool, typer.Option("--int8", help="With a graph of eight bits, measured on the test rows.")]
MaxLoss = Annotated[
    float,
    typer.Option(min=0, max=10, help="By how much the error on the test rows may grow, as a share of it."),
]


def export(
    target: Target,
    as_json: Json,
    version: Version = "",
    output: Output = None,
    int8: Int8 = False,
    max_loss: MaxLoss = 0.05,
) -> None:
    """Write a version to a folder that answers rows without a cloud: `python FOLDER/answer.pyz rows.jsonl`.

    It holds the graph, how the encoders are fitted, a program for Python with numpy and onnxruntime, and digests.

    With --int8 the graph is quantized; error, time of a row and size are measured beside float32 on the test rows of
    the version's run, and a package whose error grew by more than --max-loss of it is refused.

    Example: millrace export 3 --int8 --output edge"""
    from millrace.console.actions.edge import export_version

    environment, names = target.find_deployed()
    folder = output or Path(f"{names.workload}-edge")
    document = export_version(environment, names, version, folder, int8=int8, max_loss=max_loss)
    if as_json:
        show_json(document)
        return
    if compared := document["compared"]:
        _show(compared, method=document["method"])
    print(f"{folder}: version {document['version']} in {document['precision']}")


def _show(compared: Mapping[str, Any], *, method: str) -> None:

    # A row for each figure: what it is called, its key in both measurements, and how the two compare.
    before, after = compared["float32"], compared["int8"]
    rows = [
        {"on_test_rows": name, "float32": before[key], "int8": after[key], "compared": ratio}
        for name, key, ratio in (
            ("error", "error", f"{compared['loss']:+.2%}"),
            ("ms for a row", "ms", f"{compared['speed']:.2f} times the speed"),
            ("bytes", "bytes", f"{compared['size']:.1%} of the size"),
        )
    ]
    show_rows(rows, as_json=False, nothing="")
    print(f"{compared['rows']:,} rows, one in each call, one thread; {method} quantization")
    for sentence in verdicts(compared):
        print(sentence)


def verdicts(compared: Mapping[str, Any]) -> list[str]:
    """A sentence with the figure for speed and for size, where eight bits do not help."""
    found = []
    if compared["speed"] < NO_FASTER:
        found.append(f"Eight bits make this model no faster: {compared['speed']:.2f} times the speed of float32.")
    if compared["size"] > NO_SMALLER:
        found.append(f"Eight bits make this model no smaller: {compared['size']:.1%} of the size of float32.")
    return found
