"""Answers rows with an edge package alone, without a cloud or a server: `python answer.pyz rows.jsonl`.

`millrace export` puts this module, with what it imports, as answer.pyz beside the graph. A row is a JSON object with
the `inputs` that package.json names; an `id` in it comes back with its answer. Rows are read, refused and answered by
the code of the serving container, so a device's answers are those of an endpoint with the same graph."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from millrace.artefact.edge import read_package
from millrace.artefact.inference import Model
from millrace.errors import MillraceError
from millrace.jobs.serving.application import LINES, Application
from millrace.jobs.serving.http import Head
from millrace.jobs.serving.server import Request
from millrace.jobs.serving.settings import Settings

BLOCK = 1_000
"""Rows that are read, answered and written together."""


class RowsRefusedError(MillraceError):
    """A line that is no row of this model."""


def answers(application: Application, lines: BinaryIO) -> Iterator[bytes]:
    """The answers to all lines, block by block, each a JSON object on a line of its own; in order.

    A row with a cell that the model does not take is answered by its reason. Raises RowsRefusedError, with the line,
    for anything that is no row."""
    first = 1
    while block := list(islice(lines, BLOCK)):
        body = b"".join(block)
        head = Head(
            method="POST", path="/invocations", content_type=LINES, body_bytes=len(body), keep_alive=False,
            expects_continue=False,
        )  # fmt: skip
        [answer] = application.answer([Request(head=head, body=body)])
        if answer.status != 200:
            why = json.loads(answer.body)
            counted = f" (counted from line {first})" if first > 1 else ""
            said = f"{why.get('where', 'row')}{counted}: expected {why.get('expected')}, got {why.get('came')}"
            raise RowsRefusedError(said if "expected" in why else str(why))
        yield answer.body + b"\n"
        first += len(block)


def main(arguments: Sequence[str], folder: Path) -> None:
    """Answer the rows of a file, or of standard input; `folder` holds the package."""
    parser = argparse.ArgumentParser(prog="answer.pyz", description="Answer rows with the model beside this file.")
    parser.add_argument("rows", nargs="?", help="rows as JSON lines; without it, standard input")
    parser.add_argument("--output", help="where the answers go as JSON lines; without it, standard output")
    asked = parser.parse_args(arguments)
    artefact, package = read_package(folder)
    application = Application(Model(artefact), Settings(model_version=package["version"]))
    with (
        open(asked.rows, "rb") if asked.rows else sys.stdin.buffer as lines,
        open(asked.output, "xb") if asked.output else sys.stdout.buffer as output,
    ):
        for block in answers(application, lines):
            output.write(block)


if __name__ == "__main__":
    try:
        main(sys.argv[1:], Path(sys.argv[0]).resolve().parent)
    except (MillraceError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
