"""`millrace new`: propose a workload from a file of labelled rows."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from millrace.console.cli.new_options import NewOptions
from millrace.console.cli.options import Build, Json, Sheet, Sql, TableName, split_words
from millrace.console.cli.printing import show_json, show_rows
from millrace.console.files.given import given
from millrace.console.files.grid import Inside
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.length import Length
from millrace.contract.rules.range import Range
from millrace.errors import ConfigurationError
from millrace.evaluation.evidence import FEWEST_BLOCKS
from millrace.spelling import did_you_mean
from millrace.workload.load import workloads_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millrace.console.new.declare import ProposedPrediction
    from millrace.console.new.proposal import Proposal
    from millrace.console.new.writing import Written
    from millrace.contract.schema import Column
    from millrace.contract.violation import QuarantinedRow

SHOWN_REFUSED = 3
SHOWN_LEFT_OUT = 100
"""Most left-out images that are named. They are in no drop, so nothing names them later."""
MOST_OF_A_CELL = 72
"""Most characters of a reason in the table. A longer reason is a line below the table."""


def new(options: NewOptions, build: Build, as_json: Json, sheet: Sheet, table: TableName, sql: Sql) -> None:
    """Propose a workload from a file of labelled rows: its contract, its declaration, and drops to begin with.

    Example: millrace new churn --from customers.csv --label left --key customer_id

    Example: millrace new rooms --from rooms.csv --label damp --label mould

    Example: millrace new load --from meters.parquet --label kWh --horizon-hours 24 --unit kWh

    Example: millrace new cracks --from photos --image-size 64x64, of photos/yes/1.jpg, photos/no/2.jpg …

    Example: millrace new sales --from shop.db --sql "SELECT * FROM orders JOIN items USING (id)" --label returned

    It reads off the rows what they show. Label, event time and key it guesses where that is safe, with the reason, and
    asks for where it is not. The workload is written to workloads/NAME (or MILLRACE_WORKLOADS/NAME)."""
    from millrace.artefact.pretrained import read_pretrained
    from millrace.console.new.families import PartAtHand
    from millrace.console.new.files import read_given
    from millrace.console.new.proposal import propose
    from millrace.console.new.sample import sampled
    from millrace.console.new.writing import check_free, write

    choices = options.choices()
    # Read, propose, write: nothing is written before the whole proposal stands.
    inside, folder = Inside(sheet=sheet, table=table, sql=sql), options.drops or build / "drops" / options.name
    check_free(options.name, workloads_folder(), folder, force=options.force)
    with given(options.files, inside) as opened, TemporaryDirectory() as temporary:
        _phase(1, "reading the file")
        opened, notes = sampled(opened, Path(temporary), looks_ahead=choices.looks_ahead)
        for note in notes:
            typer.echo(note, err=True)
        source = read_given(opened, inside, columns=split_words(options.columns), decimal=options.decimal)
        source = replace(source, notes=(*notes, *source.notes))
        try:
            proposal = propose(
                source,
                choices,
                today=datetime.now(UTC).date(),
                minutes=options.minutes,
                part=PartAtHand(
                    path=options.part, header=read_pretrained(options.part.read_bytes(), where=str(options.part))
                )
                if options.part
                else None,
                say=_phase,
            )
        except ConfigurationError as error:
            raise _with_nearest(error, source.table.column_names) from None
        _phase(7, "writing the workload and its first drops")
        written = write(proposal, workloads_folder(), folder, pieces=options.pieces, force=options.force)
    if as_json:
        show_json(_document(proposal, written))
    else:
        _tell(proposal, written)


def _phase(number: int, said: str) -> None:
    """Print the phase that begins on a line of its own, `[2 of 7] …`: a pipe shows it, too."""
    from millrace.console.new.proposal import PHASES

    typer.echo(f"[{number} of {PHASES}] {said}", err=True)


def _with_nearest(error: ConfigurationError, columns: Sequence[str]) -> ConfigurationError:
    """The error, with the column of the most similar spelling if an option names a column that there is not."""

    # `came` holds the names that a person typed, if the error is about an option.
    names = error.came if isinstance(error.came, list | tuple) else [error.came]
    unknown = [name for name in names if isinstance(name, str) and name not in columns]
    meant = did_you_mean(unknown, columns)
    if not error.field.startswith("--") or not meant:
        return error
    expected = f"{error.expected}{meant}"
    return ConfigurationError(where=error.where, field=error.field, expected=expected, came=error.came)


def _document(proposal: Proposal, written: Written) -> dict[str, Any]:

    guesses = {
        what: {"value": getattr(guess.value, "name", guess.value), "reason": guess.reason, "others": guess.others}
        for what, guess in proposal.guesses.items()
    }
    return {
        "workload": str(written.folder),
        "guesses": guesses,
        "features": list(proposal.prediction.declared),
        "no_features": {one.name: one.reason for one in proposal.no_features},
        "may_be_missing": proposal.may_be_missing,
        "not_in_contract": {one.name: one.reason for one in proposal.not_in_contract},
        "notes": proposal.notes,
        "accepted": proposal.accepted.num_rows,
        "refused": [asdict(row) for row in proposal.refused],
        "spans": asdict(proposal.spans),
        "group": proposal.prediction.group,
        "naive": asdict(proposal.naive),
        "rows": dict(zip(("train", "validation", "test"), proposal.rehearsal.rows, strict=True)),
        "tried": [each.model_dump() for each in proposal.trial.tried],
        "proposed": proposal.trial.chosen.said,
        "watches_errors": proposal.rehearsal.watches_errors,
        "drops": [str(path) for path in written.drops],
        "to_predict": str(written.to_predict),
    }


def _tell(proposal: Proposal, written: Written) -> None:
    """Print the guesses, the table of columns, the remarks and the next commands."""

    # No markup and no highlighting: texts of the file must not be read as rich's tags.
    console = Console(highlight=False, soft_wrap=True)
    for what, guess in proposal.guesses.items():
        several = ", ".join(proposal.prediction.labels) if what == "label" else ""
        value = several or getattr(guess.value, "name", guess.value)
        shown = ", ".join(value) if isinstance(value, tuple) else repr(value) if what == "positive" else value
        others = f"; or {', '.join(guess.others[:5])}" if guess.others else ""
        console.print(f"{what:<11} {shown}: {guess.reason}{others}", markup=False)
    console.print()
    show_rows(_columns(proposal), as_json=False, nothing="")
    console.print()
    for line in _remarks(proposal):
        console.print(f"- {line}", markup=False)
    for line in proposal.trial.lines:
        console.print(line, markup=False)
    console.print(f"\nNext (change {quote(str(written.folder))}/*.yaml first, if you like):\n", markup=False)
    for command in commands(proposal.prediction.name, written):
        console.print(f"  {command}", markup=False)
    console.print(f"\n{written.to_predict.name} holds {written.predicted}.", markup=False)


def _columns(proposal: Proposal) -> list[dict[str, Any]]:
    """A row of the table for each column of the contract. A column is a feature, a calendar's, or has a reason."""
    prediction = proposal.prediction
    past = [name for feature in prediction.derived for name in feature.get("history", ())]
    calendars = {
        feature["calendar"]: ", ".join(feature["parts"]) for feature in prediction.derived if "calendar" in feature
    }
    reasons = {one.name: _why_not(one.reason) for one in proposal.no_features}
    # A later role replaces an earlier one: an event time that is in the key is shown as the event time.
    roles = dict.fromkeys(prediction.key, "key") | {prediction.event_time: "event time"}
    roles |= dict.fromkeys(prediction.label_columns, "label")
    return [
        {
            "column": column.name,
            "type": column.kind,
            "missing": "" if column.required else "may be",
            "rule": _rule(column),
            "feature": _as_feature(column.name, prediction, past)
            or calendars.get(column.name, "")
            or reasons.get(column.name, ""),
            "role": roles.get(column.name, "protected" if column.is_protected else ""),
        }
        for column in proposal.contract.columns
    ]


def _as_feature(name: str, prediction: ProposedPrediction, past: Sequence[str]) -> str:
    itself = "its words" if name in prediction.texts else "yes"
    return " and ".join([itself] * (name in prediction.features) + ["its past"] * (name in past))


def _why_not(reason: str) -> str:
    return "no: see below" if _is_long(reason) else f"no: {reason}"


def _is_long(reason: str) -> bool:
    return len(reason) > MOST_OF_A_CELL


def _rule(column: Column) -> str:

    # One rule is shown, the first of these: the image, the list of values, the range, the length.
    if image := column.find(ImageFormat):
        return image.expected
    if column.allowed:
        words = ", ".join(map(str, column.allowed))
        return words if len(words) <= 40 else f"{len(column.allowed)} values, {words[:28]}…"
    declared = column.find(Range) or Range()
    bounds = [f">= {declared.minimum}"] if declared.minimum is not None else []
    bounds += [f"<= {declared.maximum}"] if declared.maximum is not None else []
    length = column.find(Length)
    return ", ".join(bounds) or (f"{length.maximum} characters at most" if length else "")


def _samples(refused: Sequence[QuarantinedRow], most: int) -> list[QuarantinedRow]:
    """At most so many of the rows, by their lines: of each reason and column the first one, then the first others."""
    first_of_kind: dict[object, int] = {}
    for at, row in enumerate(refused):
        first_of_kind.setdefault((row.reason, row.violations[0].column), at)
    places = list(dict.fromkeys([*first_of_kind.values(), *range(min(most, len(refused)))]))
    return [refused[at] for at in sorted(places[:most])]


def _remarks(proposal: Proposal) -> list[str]:
    from millrace.console.new.words import LEAST_SHOWN, once
    from millrace.monitoring.error import FEWEST

    # In this order: rows and columns, what is conspicuous, the parts and the rule to beat, what will not be watched.
    rows, refused, spans, naive = proposal.accepted.num_rows, proposal.refused, proposal.spans, proposal.naive
    has_images = bool(proposal.prediction.image_side)  # they are put into files of the accepted rows
    become = "left out of the drop" if has_images else "would be quarantined"
    shown = SHOWN_LEFT_OUT if has_images else SHOWN_REFUSED
    lines = [f"{rows:,} rows keep the contract, {len(refused):,} {become}"]
    lines += [
        f"  {row.key if has_images and row.key else proposal.place(row.line or 0)}: {row.detail}"
        for row in _samples(refused, shown)
    ]
    lines += [f"  and {len(refused) - shown:,} more"] * (len(refused) > shown)
    lines += [f"{one.name} is not in the contract: {one.reason}" for one in proposal.not_in_contract]
    reasons = once([(one.name, one.reason) for one in proposal.no_features if _is_long(one.reason)])
    lines += [f"{names} {'are' if ', ' in names else 'is'} no feature: {reason}" for names, reason in reasons]
    if proposal.may_be_missing:
        lines.append(
            f"files and requests may leave out {', '.join(proposal.may_be_missing)}: no model reads them, so they are "
            "not required and have no range and no list of values"
        )
    listed = [
        f"{column.name} has a list of {len(column.allowed)} values"
        for column in proposal.contract.columns
        if column.allowed and column.kind == "string" and not column.label
    ]
    if listed:
        other = "another one is answered, as of an unknown value, and counted; a row to train with it is quarantined"
        lines.append(f"{', '.join(listed)}: a row to score with {other}")
    lines += proposal.notes
    found = proposal.rehearsal
    trained, validated, tested = found.rows
    lines.append(f"{trained:,} rows train, {validated:,} validate, {tested:,} test ({_division(proposal)})")
    lines.append(f"the model must be better than {naive.rule}, which {naive.said}")
    lines += [warning] if (warning := proposal.hardly_right or proposal.behind_rule) else []
    lines += [
        f"a step of the walk forward is skipped (a model of earlier days, to see how its error moves), to {one}"
        for one in found.skipped
    ]
    if not spans.is_rate_promised:
        few = "not split by time"
        if spans.test_days:
            few = f"the monitors judge {spans.window_days} days together, a window, and {spans.windows} windows are few"
        lines.append(f"{few}: drift alarms may be wrong more often than declared")
    if not spans.are_comparable:
        lines.append(
            f"a later model will be refused: the test rows are of {spans.test_days} days, and its comparison with the "
            f"live model needs {FEWEST_BLOCKS}; raise test_days in workload.yaml once there are more days of rows"
        )
    if not found.has_history_of_errors:
        until = (
            "errors alarm only above the interval of the test error"
            if found.watches_errors
            else ("errors will not be watched, since the test rows are of one day")
        )
        lines.append(
            f"{until}: a bound needs the errors of earlier models in {FEWEST} times {found.error_windows} windows in a "
            f"row, the file has {found.stretches} (more days of rows, a smaller window_days, or monitors.error_bound)"
        )
    if (least := found.least_watched_error) >= LEAST_SHOWN:
        lines.append(
            f"errors will not be watched where the model is wrong on fewer than about {least:.1%} of the test rows: "
            "the rows have no times, and the windows drawn from the test rows then hold too few wrong answers"
        )
    if proposal.series and not proposal.prediction.horizon_hours:
        steps = proposal.series.of_a_day
        lines.append(
            f"the rows are {proposal.series.step} apart: --horizon-steps {steps} would predict the label so many rows "
            "later, from a history"
        )
    return lines


def _division(proposal: Proposal) -> str:
    """How the test rows are chosen, as workload.yaml declares it."""
    if proposal.prediction.split_column:
        return f"as the column {proposal.prediction.split_column} says"
    if group := proposal.prediction.group:
        of = "the beginning of " if proposal.prediction.pieces else ""
        return f"by {of}{' and '.join(group)}: all rows of one on one side"
    if proposal.prediction.is_in_time:
        return f"the last {proposal.spans.test_days} days"
    return "the last rows of the file" if proposal.prediction.is_in_order else "by the hash of the key"


def commands(name: str, written: Written) -> list[str]:
    """The next three commands, in their order: deploy the workload, drop the file, predict."""
    dropped = quote(os.path.commonpath(written.drops))  # of several files their folder
    return [
        f"millrace up --workload {name}",
        f"millrace drop {dropped} --workload {name} --feed training --wait",
        f"millrace predict {quote(str(written.to_predict))} --workload {name}",
    ]
