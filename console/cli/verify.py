"""`millrace verify`: check a version against its signature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.environment import find
from console.cli.options import Build, Json, Stage, Version, Workload

SHORT = 12
"""Characters of a digest that the table shows."""

Output = Annotated[
    Path | None,
    typer.Option(show_default="nothing is written", help="A folder for the members, the signature and the key."),
]


def verify(
    workload: Workload, stage: Stage, build: Build, as_json: Json, version: Version = "", output: Output = None
) -> None:
    """Check a version's signature, then each digest in it: of the archive, of the run's files, of the registry.

    The exit status is 1 if the signature is absent or wrong. What --output writes can be verified by others too.

    Example: millrace verify 3 --output signed"""
    from dataclasses import asdict

    from console.cli.printing import show_rows
    from console.queries.signatures import PUBLIC_KEY, verify_version
    from millrace.artefact.signing import SIGNATURE_FILE

    signed, found = verify_version(*find(stage, build, workload), version, folder=output)
    if as_json:
        show_rows([asdict(one) for one in found], as_json=True, nothing="")
        return
    show_rows([asdict(one) | {"digest": one.digest[:SHORT]} for one in found], as_json=False, nothing="")
    print(f"signed as {signed.name}")
    if output:
        key, signature = output / PUBLIC_KEY, output / SIGNATURE_FILE
        print(f"model_signing verify key {output / 'model'} --signature {signature} --public_key {key}")
