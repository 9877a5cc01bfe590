"""`millrace predict`, `versions`, `rollback`: model versions and their answers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.environment import find_deployed
from console.cli.options import Build, Json, Stage, Workload
from console.cli.printing import show_json, show_rows
from console.commands import command
from millrace.tasks.figures import words

if TYPE_CHECKING:
    from console.actions.predict import RowAnswer
    from console.queries.call_times import CallTimes
    from console.queries.monitoring_limits import Limit
    from console.queries.versions import ModelVersion
    from millrace.evaluation.report import Evaluation
    from millrace.names import WorkloadNames
    from millrace.workload.declaration import Prediction

SHOWN_ROWS = 50
"""Answers in a table; a file has them all."""
WORTH = ("r2", "auc", "recall", "macro_recall")
"""Figures that show a model that is hardly worth anything, beside an error that is below its rule's."""


def predict(
    file: Annotated[
        str,
        typer.Argument(help="CSV, TSV, JSON lines, Parquet, an image, a folder of images; - for standard input."),
    ],
    stage: Stage,
    workload: Workload,
    build: Build,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one for each row.")] = False,
    scale: Annotated[
        bool,
        typer.Option("--scale", help="Scale images to the contract's size; not needed where it says scale: true."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write all answers to this .parquet, .csv or .jsonl file.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="With what each column added to the answer.")] = False,
) -> None:
    """Predict the rows of a file with the live model; a row that breaks the contract is refused with its reason.

    Example: millrace predict rows.csv --output answers.parquet. Rows go in pieces of at most 1,000 through the
    prediction function; every predicted row has its decision's id, the order is the file's. A label is left out.
    Of two classes `class` is the contract's word for the value 0 or 1. With --explain pieces are of 8 rows. The exit
    status is 1 when the model answered no row."""
    from console.actions import predict
    from console.actions.class_names import class_names, with_class
    from console.actions.pack import declares_scale, packed
    from console.cli.export import check_ending, export, json_line
    from console.image_folder import find_images
    from console.presenters.drops import ADVICE
    from console.queries.fallbacks import why_fallback
    from millrace.contract.load import load_contract
    from millrace.contract.reasons import Reason
    from millrace.features import catalogue
    from millrace.tasks.catalogue import declare
    from millrace.workload.load import load_workload, workloads_folder

    if output:
        check_ending(output)
    environment, names = find_deployed(stage, build, workload)
    home = workloads_folder() / names.workload
    contract = load_contract(home)
    prediction = load_workload(home).prediction
    task = declare(prediction, contract.label)
    histories = catalogue.histories(catalogue.declare(prediction.features, contract.table("scoring")))
    with _readable(file) as given, packed(given, contract, "scoring", scale=scale) as path:
        if given.is_dir() and (left_out := find_images(given).left_out):
            print(f"warning: {left_out}", file=sys.stderr)
        client, function = environment.client("lambda"), names.function("prediction")
        found = predict.predict(client, function, path, contract, histories=histories, explain=explain)
        answers = _Counted(found)
        rows = (answer.row(task) | (_explained(answer, as_json) if explain else {}) for answer in answers)
        named = (with_class(row, class_names(task, contract.label)) for row in rows)
        if output:
            count = export(rows, output, predict.schema(task, explained=explain))
            print(f"{count:,} answers in {output}", file=sys.stderr)
        elif as_json:
            for row in named:
                print(json_line(row))
        else:
            _show_answers(named)
            _tell_hours(prediction)
    if answers.reasons[Reason.IMAGE] and not (scale or declares_scale(contract.table("scoring"))):
        print(f"Refused images: {ADVICE[Reason.IMAGE]}", file=sys.stderr)
    if answers.reasons[Reason.HISTORY]:
        print(f"Refused without a past: {ADVICE[Reason.HISTORY]}", file=sys.stderr)
    _summarize(names, answers, why=lambda: why_fallback(environment, names))


def _explained(answer: RowAnswer, as_json: bool) -> dict[str, Any]:
    """The explanation whole, or in a line."""
    from console.presenters.contributions import because

    return {"explanation": answer.explanation if as_json else because(answer.explanation) or None}


def _tell_hours(prediction: Prediction) -> None:
    """For which hour an answer is, where it does not say so itself."""
    if prediction.horizon_hours and not prediction.horizons_hours:
        hours = f"{prediction.horizon_hours:g} hours after its row's {prediction.event_time}"
        print(f"\nAn answer is the {prediction.label} {hours}.", file=sys.stderr)


def _summarize(names: WorkloadNames, answers: _Counted, *, why: Callable[[], str]) -> None:
    """How many rows the model answered where it were not all, and why a fallback did; exit status 1 where it answered
    none."""
    answered = answers.rows - answers.fallbacks - answers.refused
    if answered < answers.rows:
        fallbacks = f"{answers.fallbacks:,} only have the declared fallback"
        counts = f"{answered:,} answered by the model, {fallbacks}, {answers.refused:,} refused"
        print(f"{answers.rows:,} rows: {counts}", file=sys.stderr)
    if answers.fallbacks:
        look = f"`{command(names, 'versions')}`, `{command(names, 'runs')}`"
        print(f"A fallback: {why()}; look with {look}", file=sys.stderr)
    if answers.rows and not answered:
        raise typer.Exit(1)


class _Counted:
    """The answers, counted as they are read."""

    def __init__(self, answers: Iterable[RowAnswer]) -> None:
        self._answers = answers
        self.rows = self.fallbacks = 0
        self.reasons = Counter[str]()
        """Of the refused rows."""

    def __iter__(self) -> Iterator[RowAnswer]:
        for answer in self._answers:
            self.rows += 1
            self.fallbacks += bool(answer.fallback)
            if answer.reason is not None:
                self.reasons[answer.reason] += 1
            yield answer

    @property
    def refused(self) -> int:
        return self.reasons.total()


def versions(stage: Stage, workload: Workload, build: Build, as_json: Json) -> None:
    """List the model versions: status, quality on the test rows, gates (figure against bound), time of one row by HTTP.

    Example: millrace versions. The newest is first. `live` answers, `previous` is what `millrace rollback` brings
    back, `retired` was live, `registered` was not released, `refused` did not pass a gate and has no number. A
    first model must beat its naive rule; a later one is held against the live version. What the monitors of the
    live version cannot watch, and a released version that is worse than its rule, are said below."""
    from console.queries.call_times import read_call_times
    from console.queries.monitoring_limits import read_limits
    from console.queries.naive_rule import naive_is_better
    from console.queries.versions import find_versions, read_evaluation

    environment, names = find_deployed(stage, build, workload)
    s3, found = environment.client("s3"), find_versions(environment, names)
    judged = [
        (
            version,
            read_evaluation(s3, names, version.run),
            read_call_times(s3, names, version.run) if version.version and version.run else (),
        )
        for version in found
    ]
    live = next((version for version in found if version.status == "live"), None)
    limits = read_limits(environment, names) if live else ()
    if as_json:
        show_json([_version_document(*each, limits=limits if each[0] is live else ()) for each in judged])
        return
    show_rows([_version_row(*each) for each in judged], as_json=False, nothing="No model was trained yet.")
    for sentence in filter(None, (naive_is_better(version, evaluation) for version, evaluation, _ in judged)):
        print(f"\n{sentence}")
    for limit in limits:
        print(f"\nVersion {live.version if live else ''}: {limit.sentence}.")


def _version_row(version: ModelVersion, evaluation: Evaluation | None, times: Sequence[CallTimes]) -> dict[str, Any]:
    from console.presenters.gates import compared, mark

    gates = [f"{mark(gate)} {gate.name}: {compared(gate)}" for gate in version.gates]
    return {
        "version": version.version or "-",
        "status": version.status,
        "trained": f"{version.trained_at:%Y-%m-%d %H:%M}" if version.trained_at else "",
        "because": version.reason,
        "rows": version.rows,
        "on_test_rows": _quality(evaluation),
        "gates": "\n".join(gates),
        "one_row_by_http": "\n".join(map(_call_times, times)),
        "dataset_version": version.snapshot_id,
        "model_digest": version.digests.get("model", "")[:12],
        "run": version.run[:18],
    }


def _call_times(times: CallTimes) -> str:
    """As its preflight measured them."""
    cost = f"{times.usd_per_1000:.2g} USD a thousand, never idle"
    return f"{times.p50_ms:.2g} ms, p99 {times.p99_ms:.2g} ms\n{cost}\n{times.instance}"


def _quality(evaluation: Evaluation | None) -> str:
    """The task's main figure and the naive rule's, on which rows."""
    from console.queries.naive_rule import losses_beside
    from console.words import days

    if evaluation is None:
        return "not known: it has no evaluation"
    quality, span = evaluation.error.quality, evaluation.split
    own, naive = evaluation.metrics.get("error"), evaluation.naive.metrics.get("error")
    more = "".join(
        f"{words(name)} {figure:.3g}\n" for name in WORTH if (figure := evaluation.metrics.get(name)) is not None
    )
    losses = losses_beside(evaluation)
    compared = "" if evaluation.champion else ": compared by it"
    by_loss = f"log loss {losses[0]:.4f}, the rule's {losses[1]:.4f}{compared}\n" if losses else ""
    on = f" ({evaluation.naive.rows:,} rows)" if evaluation.naive.rows != evaluation.rows.test else ""
    rule = f"naive rule {quality(naive)}{on}\n{by_loss}"
    return f"{quality(own)}\n{more}{rule}{evaluation.rows.test:,} rows\n{days(span.from_, span.to)}"


def _version_document(
    version: ModelVersion, evaluation: Evaluation | None, times: Sequence[CallTimes], *, limits: Sequence[Limit]
) -> dict[str, Any]:
    from console.queries.versions import as_document

    measured = evaluation and {
        "rows": evaluation.rows.test,
        "from": evaluation.split.from_,
        "to": evaluation.split.to,
        "error_name": evaluation.error.name,
        "metrics": dict(evaluation.metrics),
        "naive": dict(evaluation.naive.metrics),
    }
    by_http = [asdict(one) | {"usd_per_1000": one.usd_per_1000} for one in times]
    found = {"on_test_rows": measured, "one_row_by_http": by_http, "limits": [asdict(limit) for limit in limits]}
    return as_document(version) | found


def rollback(
    stage: Stage,
    workload: Workload,
    build: Build,
    as_json: Json,
    reason: Annotated[str, typer.Option(help="Why, for the audit table.")],
    to: Annotated[str | None, typer.Option(help="Number of the version; without it the previous one.")] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Make the live version's endpoint anew.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Come back when the version is live.")] = False,
) -> None:
    """Release an earlier model version, or the live one, again: smoke test, new fleet, alarms, pointers, audit.

    Example: millrace rollback --reason "worse since Tuesday" --wait. No request fails meanwhile. Asked again without
    --to it brings back the version that was replaced. With --restore the endpoint serves the live version again: it was
    deleted, or a release stopped halfway."""
    from console.actions.rollback import roll_back
    from console.cli.follow import follow, require_success
    from millrace.errors import RunError

    environment, names = find_deployed(stage, build, workload)
    started = roll_back(environment, names, reason=reason, to=to, restores=restore)
    if wait:
        try:
            require_success(names, follow(environment, names, started.execution, said=not as_json))
        except RunError as error:
            what = "is not restored" if restore else "serves on"
            raise RunError(f"version {started.replaced} {what}: {error}") from None
    if as_json:
        show_json(asdict(started) | {"live": wait})
    elif restore:
        print(f"The endpoint serves version {started.version} again." if wait else f"On its way:\n{started.execution}")
    elif wait:
        print(f"Version {started.version} is live again, version {started.replaced} is the previous one.")
    else:
        print(
            f"Version {started.version} is on its way back, {started.replaced} serves until then:\n{started.execution}"
        )


@contextmanager
def _readable(file: str) -> Iterator[Path]:
    """The file's path; standard input is a temporary file while the block runs."""
    from millrace.errors import EnvironmentNotFoundError

    if file != "-":
        if not Path(file).exists():
            raise EnvironmentNotFoundError(f"{file}: expected a file or a folder of images, there is none")
        yield Path(file)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        path.write_bytes(sys.stdin.buffer.read())
        yield path


def _show_answers(rows: Iterator[dict[str, Any]]) -> None:
    from rich.console import Console

    shown = list(islice(rows, SHOWN_ROWS))
    left = sum(1 for _ in rows)
    filled = {name for row in shown for name, value in row.items() if value is not None}
    show_rows(
        [{name: value for name, value in row.items() if name in filled} for row in shown],
        as_json=False,
        nothing="The file has no rows.",
    )
    if left:
        Console(stderr=True).print(f"and {left:,} more: --output FILE or --json gives all")
