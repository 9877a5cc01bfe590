"""`millrace sagemaker`: takes over what SageMaker's closed features have left, and writes their files."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Json, split_words
from millrace.console.cli.printing import show_json, show_rows
from millrace.contract.schema import PREDICTION_ID
from millrace.timestamps import parse_utc

if TYPE_CHECKING:
    from millrace.console.sagemaker.labels import Taken
    from millrace.console.sagemaker.verdict import JudgedWindow, Verdict

sagemaker = typer.Typer(
    no_args_is_help=True,
    help="Take over from Model Monitor, Clarify, Ground Truth and A2I: read and write their files.",
)
Paths = Annotated[list[str], typer.Argument(help="Files or folders, on disk or s3://BUCKET/KEY.")]
Cells = Annotated[str, typer.Option(help="Names of the cells of CSV, with commas between.")]
Answer = Annotated[str, typer.Option(help="The field, or the place from 0, of the value in an answer.")]


@sagemaker.command()
def captures(
    paths: Paths,
    as_json: Json,
    baseline: Annotated[
        str, typer.Option(help="The rows of the training (.csv, .jsonl, .parquet), or statistics.json.")
    ] = "",
    labels: Annotated[list[str] | None, typer.Option(help="Ground truth as Model Monitor merges it.")] = None,
    columns: Cells = "",
    label: Annotated[str, typer.Option(help="The column of --baseline that requests do not have.")] = "",
    time: Annotated[str, typer.Option(help="The column of --baseline that its rows are ordered by.")] = "",
    answer: Answer = "",
    since: Annotated[
        datetime | None, typer.Option(help="Judge the calls from this time on (UTC), compared with those before.")
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="A probability from here on is a 1.")] = 0.5,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write statistics.json and constraint_violations.json here.")
    ] = None,
) -> None:
    """Judge the calls that SageMaker's data capture has kept: drift by window, and with labels the error.

    Nothing need be deployed. Without --baseline the last third of the calls is compared with those before.

    Example: millrace sagemaker captures s3://my-bucket/capture/churn/AllTraffic --baseline train.csv --label churn"""
    from millrace.console.sagemaker.captures import read
    from millrace.console.sagemaker.verdict import judge_captures, open_baseline

    trained = open_baseline(baseline, label=label, time=time) if baseline else None
    captured = read(
        paths,
        columns=split_words(columns) or (trained.names if trained else ()),
        kinds=trained.kinds if trained else {},
        answer=answer,
        labels=labels or (),
    )
    verdict = judge_captures(
        captured,
        reference=trained.reference(captured) if trained else None,
        since=parse_utc(since.isoformat()) if since else None,
        threshold=threshold,
    )
    if output:
        from millrace.console.sagemaker.constraints import violations_of
        from millrace.console.sagemaker.monitor import statistics_of

        _write(output, statistics=statistics_of(captured.table), constraint_violations=violations_of(verdict))
    _show(verdict, as_json=as_json)


def _write(folder: Path, **documents: Any) -> None:

    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))


def _show(verdict: Verdict, *, as_json: bool) -> None:
    rows = [_row(window) for window in verdict.windows]
    if as_json:
        show_json({"calls": verdict.rows, "labelled": verdict.labelled, "notes": verdict.doubts, "windows": rows})
        return
    before = f"the {verdict.before:,} before" if verdict.before else "the baseline"
    print(f"{verdict.rows:,} rows, {verdict.labelled:,} with a label; windows of {rows[0]['rows']:,} against {before}")
    drifted = [window for window in verdict.windows if window.drifted]
    columns = f": {', '.join(verdict.drifted)}" if drifted else ""
    print(f"drift: in {len(drifted)} of {len(rows)} windows{columns}")
    judged = [window for window in verdict.windows if window.error_bound is not None]
    worse = [window for window in judged if window.has_worse_error]
    print(f"error: above its bound in {len(worse)} of {len(judged)} windows" if judged else "error: too few labels")
    for doubt in verdict.doubts:
        print(f"note: {doubt}")
    alarming = [window for window in verdict.windows if window.drifted or window.has_worse_error]
    print()
    show_rows([_row(window) for window in alarming], as_json=False, nothing="No window is above a bound.")


def _row(window: JudgedWindow) -> dict[str, Any]:
    worst = window.judgement.worst
    return {
        "from": window.start,
        "to": window.end,
        "rows": window.judgement.rows,
        "drift / bound": worst and round(worst.ratio, 2),
        "statistic": worst and worst.statistic,
        "drifted": list(window.drifted),
        "labelled": window.labelled,
        "error": window.error,
        "its bound": window.error_bound,
    }


@sagemaker.command()
def violations(
    paths: Paths,
    as_json: Json,
    constraints: Annotated[str, typer.Option(help="Model Monitor's constraints.json.")],
    statistics: Annotated[str, typer.Option(help="Its statistics.json; without it no distribution is compared.")] = "",
    label: Annotated[str, typer.Option(help="The column of the constraints that answers are in.")] = "",
    columns: Cells = "",
    answer: Answer = "",
    beside: Annotated[str, typer.Option(help="A constraint_violations.json to compare with.")] = "",
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write what an execution writes: its three files.")
    ] = None,
) -> None:
    """Check captured calls by Model Monitor's own constraints, as one of its executions does.

    Example: millrace sagemaker violations capture/ --constraints constraints.json --statistics statistics.json"""
    from millrace.console.sagemaker.captures import document, read
    from millrace.console.sagemaker.constraints import Constraints, Violations, compared, judge_by, rows_of
    from millrace.console.sagemaker.monitor import Statistics, statistics_of

    wanted = document(constraints, Constraints)
    known = document(statistics, Statistics) if statistics else None
    theirs = document(beside, Violations) if beside else None
    names = split_words(columns) or [one.name for one in wanted.features if one.name != label]
    captured = read(paths, columns=names, answer=answer)
    judged = judge_by(wanted, known, rows_of(captured, label))
    if output:
        documents = {"constraints": wanted.model_dump(exclude_unset=True), "statistics": statistics_of(captured.table)}
        _write(output, **documents, constraint_violations=judged.violations.model_dump())
    nothing = f"{len(captured.cells):,} rows, no violation."
    show_rows(compared(judged.violations, theirs), as_json=as_json, nothing=nothing)
    for note in () if as_json else judged.notes:
        print(f"note: {note}")


@sagemaker.command()
def clarify(
    rows: Annotated[str, typer.Argument(help="Rows with their labels: .csv, .jsonl or .parquet.")],
    as_json: Json,
    config: Annotated[str, typer.Option(help="Clarify's analysis_config.json.")],
    predicted: Annotated[str, typer.Option(help="The column of the predicted labels.")] = "",
    beside: Annotated[str, typer.Option(help="An analysis.json to compare with.")] = "",
    output: Annotated[Path | None, typer.Option(help="Write the figures here, as Clarify's analysis.json.")] = None,
) -> None:
    """Compute Clarify's bias metrics of a file of rows, by their own names.

    Example: millrace sagemaker clarify rows.csv --config analysis_config.json --predicted score"""
    from millrace.console.sagemaker.captures import document, read_table
    from millrace.console.sagemaker.clarify import Analysis, AnalysisConfig, analyse

    wanted = document(config, AnalysisConfig)
    if predicted:
        wanted = wanted.model_copy(update={"predicted_label": predicted})
    found = analyse(read_table(rows, headers=wanted.headers), wanted, where=rows)
    theirs = dict(document(beside, Analysis).figures()) if beside else {}
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(found.model_dump_json(indent=1, exclude_unset=True))
    lines = []
    for key, one in found.figures():
        line = dict(zip(("stage", "facet", "group", "metric"), key, strict=True)) | {"value": one.error or one.value}
        lines.append(line | ({"theirs": theirs[key].value if key in theirs else None} if beside else {}))
    show_rows(lines, as_json=as_json, nothing="The configuration asks for no bias metric.")


@sagemaker.command()
def monitor(
    rows: Annotated[
        str, typer.Argument(help="Rows (.csv, .jsonl, .parquet), a version's baseline.json, or a statistics.json.")
    ],
    output: Annotated[Path, typer.Option(file_okay=False, help="The folder to write to.")],
) -> None:
    """Write statistics.json and constraints.json, as Model Monitor suggests them for a training file.

    Example: millrace sagemaker monitor train.csv --output baseline"""
    from millrace.console.sagemaker.constraints import constraints_of
    from millrace.console.sagemaker.verdict import statistics_in

    statistics = statistics_in(rows)
    _write(output, statistics=statistics, constraints=constraints_of(statistics))
    print(f"{output}: statistics.json and constraints.json of {len(statistics['features'])} columns")


Key = Annotated[str, typer.Option(help="The column of the labels' key.")]
EventTime = Annotated[str, typer.Option(help="The column of their event time.")]
Label = Annotated[str, typer.Option(help="The column of the label.")]
Attribute = Annotated[str, typer.Option(help="The label attribute, if a line has several.")]
Labels = Annotated[Path, typer.Option(help="The .jsonl file to write, for `millrace drop --feed labels`.")]


@sagemaker.command("ground-truth")
def ground_truth(
    paths: Paths,
    output: Labels,
    key: Key = "id",
    event_time: EventTime = "at",
    label: Label = "label",
    attribute: Attribute = "",
    index: Annotated[bool, typer.Option("--index", help="The class's number is the label, not its name.")] = False,
    auto: Annotated[bool, typer.Option("--auto", help="Also what a model has labelled.")] = False,
) -> None:
    """Make a drop of labels of Ground Truth's output manifests.

    Example: millrace sagemaker ground-truth s3://my-bucket/scans/manifests/output/ --index --output labels.jsonl"""
    from millrace.console.sagemaker.labels import Columns, from_ground_truth

    columns = Columns(key=key, event_time=event_time, label=label)
    taken = from_ground_truth(paths, columns, attribute=attribute, takes_index=index, takes_auto=auto)
    _write_labels(taken, output)


@sagemaker.command()
def a2i(
    paths: Paths,
    output: Labels,
    key: Key = "id",
    event_time: EventTime = "at",
    label: Label = "label",
    answer: Annotated[str, typer.Option(help="The field of the answers, if they have several.")] = "",
) -> None:
    """Make a drop of labels of A2I's human loops: what most workers of each have answered.

    Example: millrace sagemaker a2i s3://my-bucket/a2i/claims/ --answer category --output labels.jsonl"""
    from millrace.console.sagemaker.labels import Columns, from_a2i

    columns = Columns(key=key, event_time=event_time, label=label)
    _write_labels(from_a2i(paths, columns, answer=answer), output)


def _write_labels(taken: Taken, output: Path) -> None:

    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("".join(f"{json.dumps(row)}\n" for row in taken.rows))
    print(f"{output}: {len(taken.rows):,} labels; {len(taken.left):,} left out")
    for where, why in taken.left.items():
        print(f"  {where}: {why}", file=sys.stderr)


@sagemaker.command()
def manifest(
    rows: Annotated[str, typer.Argument(help="Labels: .csv, .jsonl or .parquet.")],
    output: Annotated[Path, typer.Option(help="The manifest to write.")],
    key: Key = "id",
    event_time: EventTime = "at",
    label: Label = "label",
    attribute: Annotated[str, typer.Option(help="The label attribute.")] = "label",
    prefix: Annotated[str, typer.Option(help="s3://BUCKET/FOLDER of the objects; without it the key is text.")] = "",
    ending: Annotated[str, typer.Option(help="What their names have after the key, such as .png.")] = "",
) -> None:
    """Write labels as an output manifest of Ground Truth.

    Example: millrace sagemaker manifest labels.csv --prefix s3://bucket/scans --ending .png --output scans.manifest"""
    from millrace.console.sagemaker.captures import read_table
    from millrace.console.sagemaker.labels import Columns
    from millrace.console.sagemaker.labels import manifest as lines_of

    columns = Columns(key=key, event_time=event_time, label=label)
    # As CSV says no kinds, a prediction_id of digits is a text too.
    table = read_table(rows, texts=(key, label, PREDICTION_ID), times=(event_time,))
    lines = list(lines_of(table, columns, attribute=attribute, prefix=prefix, ending=ending))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("".join(f"{line}\n" for line in lines))
    print(f"{output}: {len(lines):,} labels; {table.num_rows - len(lines):,} left out")
