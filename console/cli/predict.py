"""`millrace predict`: the live model's answers to the rows of a file."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from millrace.console.cli.options import Json, Target, Within, Workload, feeds, only_folder
from millrace.console.cli.printing import show_json, show_rows
from millrace.console.files.catalogue import TABLES
from millrace.console.files.given import ALSO, given
from millrace.console.files.grid import stop
from millrace.console.image_folder import find_images
from millrace.console.local_cloud.processes import handled
from millrace.console.stages import command
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.features import catalogue
from millrace.tasks.catalogue import declare
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from millrace.console.actions.drop import Dropped
    from millrace.console.actions.predict import RowAnswer
    from millrace.console.files.given import Given
    from millrace.names import WorkloadNames
    from millrace.tasks.task import AnswerField


SHOWN_ROWS = 50
"""Most answers in the table. A file of --output has all."""


def predict(
    file: Annotated[
        Path,
        typer.Argument(help=f"{TABLES}; {ALSO}; an image, a folder of images; - for standard input."),
    ],
    target: Target,
    inside: Within,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one for each row.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write all answers to this .parquet, .csv or .jsonl file.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="With what each column added to the answer.")] = False,
) -> None:
    """Predict the rows of a file with the live model; a row that breaks the contract is refused with its reason.

    Example: millrace predict rows.csv --output answers.parquet. Rows go in pieces of at most 1,000 through the
    prediction function; every predicted row has its decision's id, the order is the file's. A label is left out.
    With two classes, `class` is the contract's word for the value 0 or 1. With --explain a piece has at most 8 rows.
    The exit status is 1 if the model answered no row. Ctrl-C gives the answers that have come by then."""
    from millrace.console.actions import predict
    from millrace.console.actions.drop import content_of, declares_scale
    from millrace.console.actions.predict import with_class
    from millrace.console.cli.printing import check_ending, export, json_line
    from millrace.console.presenters.drops import ADVICE
    from millrace.console.queries.live import why_fallback
    from millrace.features.known_ahead import KnownAhead

    if output:
        check_ending(output)
    environment, names = target.find_deployed()
    home = workloads_folder() / names.workload
    contract, declared = load_contract(home), load_workload(home)
    prediction, acted = declared.prediction, declared.policy is not None
    task = declare(prediction, contract.label)
    fields: tuple[AnswerField, ...] = (*task.answer, *prediction.dates)
    histories = catalogue.histories(catalogue.declare(prediction.features, contract.table("scoring")))
    ahead = KnownAhead.of(contract.table("scoring"), prediction)
    # The file, standard input as a file, images or rows put into a file; then the answers of the pieces one by one.
    with (
        given((file,), inside) as opened,
        content_of(_only(opened), contract, "scoring", inside, stage=target.stage) as content,
    ):
        left_out = find_images(file).left_out if file.is_dir() else ""
        for note in (*[f"warning: {left_out}"] * bool(left_out), *content.notes):
            print(note, file=sys.stderr)
        ask = partial(predict.predict, environment.client("lambda"), names.prediction, content.plain, contract)
        found = ask(histories=histories, ahead=ahead, explain=explain)
        # All of these are iterators: answers are counted, named and written as the pieces come back.
        answers = _Counted(found)
        rows = (
            answer.row(fields, acted=acted) | (_explained(answer, as_json) if explain else {}) for answer in answers
        )
        named = (with_class(row, task.words) for row in rows)
        if output:
            schema = predict.schema(fields, named=bool(task.words), acted=acted, explained=explain)
            count = export(named, output, schema)
            print(f"{count:,} answers in {output}", file=sys.stderr)
        elif as_json:
            for row in named:
                print(json_line(row))
        else:
            _show_answers(named)
    if answers.stopped:
        told = f"stopped behind {answers.rows:,} rows. The call that was under way may have decided"
        most = f"{predict.most_rows(explain=explain):,} more at most: look with `{command(names, 'decisions')}`"
        print(f"millrace: {told} {most}", file=sys.stderr)
        raise typer.Exit(answers.stopped)
    for reason, said in ((Reason.IMAGE, "Refused images"), (Reason.HISTORY, "Refused without a past")):
        if answers.reasons[reason] and not (reason == Reason.IMAGE and declares_scale(contract.table("scoring"))):
            print(f"{said}: {ADVICE[reason]}", file=sys.stderr)
    _summarize(names, answers, why=lambda: why_fallback(environment, names))


def _explained(answer: RowAnswer, as_json: bool) -> dict[str, Any]:
    """The explanation as a cell: whole for JSON, in a line for people."""
    from millrace.console.presenters.gates import because

    return {"explanation": answer.explanation if as_json else because(answer.explanation) or None}


def _summarize(names: WorkloadNames, answers: _Counted, *, why: Callable[[], str]) -> None:
    """Print how many rows the model answered if it were not all, and why fallbacks answered.

    Ends with the exit status 1 if the model answered none."""
    from millrace.console.presenters.drops import unlisted_counts

    # A row has the model's answer, the declared fallback, or a refusal.
    answered = answers.rows - answers.fallbacks - answers.refused
    if answered < answers.rows:
        fallbacks = f"{answers.fallbacks:,} by its fallback or not at all"
        counts = f"{answered:,} answered by the model, {fallbacks}, {answers.refused:,} refused"
        print(f"{answers.rows:,} rows: {counts}", file=sys.stderr)
    if answers.unlisted:
        print(f"Taken as unknown, as no value of its list: {unlisted_counts(answers.unlisted)}", file=sys.stderr)
    if answers.repeated:
        print(f"Of rows of a past at one time the first counts: {answers.repeated:,} were left out", file=sys.stderr)
    if answers.fallbacks:
        look = f"`{command(names, 'versions')}`, `{command(names, 'runs')}`"
        print(f"A fallback: {why()}; look with {look}", file=sys.stderr)
    if answers.rows and not answered:
        raise typer.Exit(1)


class _Counted:
    """The answers, counted as they are read. A signal ends them: at once during a call, else behind the row."""

    def __init__(self, answers: Iterable[RowAnswer]) -> None:
        self._answers = answers
        self.rows = self.fallbacks = self.repeated = 0
        self.stopped, self._asks = 0, True
        """128 and the number of the signal, 0 if none came; whether answers are asked for now."""
        self.reasons = Counter[str]()
        """How many rows were refused for each reason."""
        self.unlisted = Counter[str]()
        """By column, how many rows have a value outside of the contract's list."""

    def __iter__(self) -> Iterator[RowAnswer]:
        with handled(self._stop), suppress(SystemExit):
            for answer in self._answers:
                self._asks = False
                self.rows += 1
                self.fallbacks += bool(answer.fallback)
                self.repeated += answer.repeated
                self.unlisted.update(answer.unlisted)
                if answer.reason is not None:
                    self.reasons[answer.reason] += 1
                yield answer
                if self.stopped:
                    break
                self._asks = True

    def _stop(self, number: int, _: object) -> None:
        """Between two answers the signal is only noted, so that each answer that came is shown or written."""
        self.stopped = 128 + number
        if self._asks:
            self._asks = False
            sys.exit(self.stopped)

    @property
    def refused(self) -> int:
        return self.reasons.total()


def _only(files: Sequence[Given]) -> Given:
    """The file. Raises ConfigurationError for several: each is answered by a call of its own."""
    if len(files) > 1:
        stop(
            files[0].path, "FILE", "one file to a call", f"{len(files)}, {files[0].name} and {files[1].name} among them"
        )
    return files[0]


def _show_answers(rows: Iterator[dict[str, Any]]) -> None:

    shown = list(islice(rows, SHOWN_ROWS))
    left = sum(1 for _ in rows)  # reads the iterator to its end: the other rows are predicted, too
    # A column without any value, such as the reason of a refusal, is not shown.
    filled = {name for row in shown for name, value in row.items() if value is not None}
    show_rows(
        [{name: value for name, value in row.items() if name in filled} for row in shown],
        as_json=False,
        nothing="No rows.",
    )
    if left:
        Console(stderr=True).print(f"and {left:,} more: --output FILE or --json gives all")


def openapi(workload: Workload) -> None:
    """Print the OpenAPI document of a workload's REST API: its operations, its rows by the contract, its answers.

    A deployment gives the same to API Gateway. Nothing need be deployed.

    Example: millrace openapi --workload electricity > electricity.json"""
    from millrace.workload.openapi import openapi as rendered

    folder = only_folder(workload)
    print(json.dumps(rendered(load_workload(folder), load_contract(folder)), indent=1, ensure_ascii=False))


def drop(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help=f"{TABLES}; {ALSO}; an image. Or a folder of them; - is standard input (with --name)."
        ),
    ],
    target: Target,
    json: Json,
    inside: Within,
    feed: Annotated[
        str,
        typer.Option(
            autocompletion=feeds, help="training (labelled rows), scoring (rows to score) or labels (late truth)."
        ),
    ],
    name: Annotated[str, typer.Option(help="The object's name below the feed.", show_default="the file's name")] = "",
    repairs: Annotated[
        str, typer.Option(metavar="DROP", help="The drop whose refused rows it mends, by `quarantine --rows`.")
    ] = "",
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Come back when all that it causes has ended; 1 if one failed or was refused."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            show_default="nothing is written",
            help="With --wait, of --feed scoring: the file's rows with their answers, as .csv or .jsonl.",
        ),
    ] = None,
) -> None:
    """Upload files to the landing bucket, each of which starts the machine of its feed.

    Example: millrace drop week.csv --feed scoring --wait --output answers.csv

    Example: millrace drop may.xlsx --sheet Sold --feed training; a workbook's rows go as JSON lines.

    Example: millrace drop photos --feed training, of photos/yes/1.png, photos/no/2.png …: the images go as one Parquet
    file. For the feed scoring they need no classes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from millrace.aws.objects import read_object
    from millrace.console.actions import drop
    from millrace.console.actions.repair import repaired_drop
    from millrace.console.cli.follow import follow_drop, require_success
    from millrace.console.cli.printing import check_ending, export
    from millrace.console.queries.drops import find_rows, scored_rows
    from millrace.console.queries.reviews import check_model, check_taken, lacks_model, tried_again
    from millrace.console.queries.stored import as_file

    known = drop.check(files, feed, target.stage)
    if output is not None and not (wait and known == "scoring"):
        raise typer.BadParameter("expected --wait and --feed scoring beside it", param_hint="--output")
    if output is not None:
        check_ending(output, ".csv", ".jsonl")
    environment, names = target.find_deployed()
    check_taken(environment, names)
    if wait and known == "scoring":
        check_model(environment, names)
    contract = load_contract(workloads_folder() / names.workload)
    contract = contract.mending() if repairs else contract
    s3, said = environment.client("s3"), {"by": environment.identity()} if known != "scoring" else {}

    def upload(file: Given) -> tuple[Dropped, bytes]:
        """Upload the file, or a temporary one of images or of rows; what was dropped, and its rows for the answers."""
        if file.path.is_dir() and (left_out := find_images(file.path).left_out):
            typer.echo(f"warning: {left_out}", err=True)
        with drop.content_of(file, contract, known, inside, stage=target.stage) as content:
            key = drop.landing_key(names, known, name or content.name)
            for warning in drop.warnings(s3, names, contract, known, content, key):
                typer.echo(warning, err=True)
            if repairs:
                said["repairs"] = repaired_drop(environment, names, contract, repairs, known, content.path, key)
            done = drop.put(s3, names, content.path, feed=known, key=key, said=said)
            return done, content.plain.read_bytes() if output else b""

    with given(files, inside) as opened:
        if len(opened) > 1 and (name or output):
            option = "--name" if name else "--output"
            raise typer.BadParameter(f"expected one file beside it, got {len(opened)}", param_hint=option)
        sent = [upload(one) for one in opened]
    dropped = [each for each, _ in sent]
    # A drop of the feed scoring waits in its queue until a model is live.
    waits = known == "scoring" and lacks_model(environment, names)
    when = f" once a model is live, and none is yet; until then it waits, {tried_again(names)}" if waits else ""
    for each in dropped * (not json):
        typer.echo(f"{each.uri} ({each.size:,} bytes) starts {each.machine}{when}")
    found = [follow_drop(environment, names, each.drop_id, said=not json) if wait else [] for each in dropped]
    if json:
        told = [
            {"uri": each.uri, "machine": each.machine, "drop_id": each.drop_id, "waits_for_model": waits}
            | {"ended": [one.as_json() for one in ended]}
            for each, ended in zip(dropped, found, strict=True)
        ]
        show_json(told if len(told) > 1 else told[0])
    if output is not None:
        uri = next((each.outcome.uri for each in found[0] if each.outcome.uri), "")
        [(each, content)] = sent
        delivered = pq.read_table(io.BytesIO(read_object(s3, uri))) if uri else None
        refused = list(find_rows(environment, names, runs={each.drop_id}))
        with as_file(content, "sent") as path:
            rows = scored_rows(path, contract, delivered, refused)
        # A file that was refused whole has no rows, and leaves none.
        if rows:
            count = export(rows, output, pa.schema([(name, pa.string()) for name in rows[0]]))
            typer.echo(f"{output}: {count:,} rows, {len(refused):,} of them without an answer", err=True)
    require_success(names, [one for ended in found for one in ended])
