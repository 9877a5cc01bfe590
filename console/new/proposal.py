"""The proposal of a new workload: everything that it will be, computed from a file before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.console.image_folder import SPLIT
from millrace.console.new.candidates import Candidate, candidates
from millrace.console.new.columns import LeftOut, Observed
from millrace.console.new.declare import ProposedPrediction, contract_document, usual_family, workload_document
from millrace.console.new.duplicates import recodings
from millrace.console.new.entities import Division, by_group, find_division
from millrace.console.new.families import PartAtHand
from millrace.console.new.features import Features, find_features, find_leaks
from millrace.console.new.files import typed_rows
from millrace.console.new.kinds import LABEL_KINDS, Classes
from millrace.console.new.known import filled, with_known
from millrace.console.new.read import Source
from millrace.console.new.reading import OBSERVED_AT, ROW_ID, Reading, read
from millrace.console.new.rehearsal import Rehearsal, rehearse
from millrace.console.new.remarks import empty_cells, findings, spellings, standing_still
from millrace.console.new.roles import FEWEST_ROWS, Choices, Guess, check_choices
from millrace.console.new.spans import HELD_OUT, NO_NAIVE, Naive, Spans, find_spans, spans_without_time
from millrace.console.new.times import Series, find_series, without_rows
from millrace.console.new.too_good import afterwards, too_good
from millrace.console.new.trial import LATE, Trial, run_trial
from millrace.console.words import count
from millrace.contract.future import up_to
from millrace.contract.rules.image import ImageFormat
from millrace.contract.rules.range import Range
from millrace.contract.schema import LINE, Table, arrow_schema
from millrace.contract.validate import validate
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError
from millrace.tasks.figures import short

PHASES = 7
"""What `say` is told of: the file is read before the proposal is made, and written behind it."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A proposed workload. At least FEWEST_ROWS rows of the file keep its contract."""

    source: Source
    prediction: ProposedPrediction
    contract: Table
    guesses: dict[str, Guess[Any]]
    """Keys: `label`, `kind`, `event time`, `key`, and `positive` if the label has two classes."""
    not_in_contract: tuple[LeftOut, ...]
    no_features: tuple[LeftOut, ...]
    may_be_missing: tuple[str, ...]
    """The columns of `no_features` that later files and requests may lack."""
    notes: tuple[str, ...]
    """Sentences on how the contract reads the file, and on what is conspicuous in it."""
    spans: Spans
    rehearsal: Rehearsal
    series: Series | None
    trial: Trial
    accepted: pa.Table
    """The rows that the contract accepts, in the order of event time. `_line` is the line of each in the file."""
    refused: tuple[QuarantinedRow, ...]
    """The rows that the contract would quarantine."""
    begins: tuple[tuple[int, str], ...]
    """The number of lines before each file of several, with its name: lines count on from file to file."""
    contract_yaml: str = field(repr=False)
    workload_yaml: str = field(repr=False)

    @property
    def naive(self) -> Naive:
        """The rule that a model must beat."""
        return self.rehearsal.naive

    @property
    def hardly_right(self) -> str:
        """A warning with the next step, if the proposed model is no more often right than the class of most rows."""
        kind, model, found = self.guesses["kind"].value, self.trial.model, self.rehearsal
        wrong = model.wrong if model else None
        if kind not in ("binary", "multiclass") or wrong is None:
            return ""
        counts = np.unique(found.target_N[found.examples.parts.validation], return_counts=True)[1]
        usual = float(counts.max() / counts.sum())
        if 1 - wrong > usual:
            return ""
        more = "columns that tell more of it, or more rows"
        lower = "a lower `threshold` under `prediction` of workload.yaml, which finds more of the rarer class, or "
        return (
            f"warning: on the rows that validate the model is right on {1 - wrong:.1%}, and so is always answering the "
            f"class of most rows ({usual:.1%}). Next: {lower if kind == 'binary' else ''}{more}"
        )

    @property
    def behind_rule(self) -> str:
        """A warning with the next step, if the rule to beat is nearer than the model on the rows that validate."""
        rule, model = self.trial.rule, self.trial.model
        if rule is None or model is None or rule.figure > model.figure:
            return ""
        step = "columns that tell more of the label, or more rows"
        if self.series and not self.prediction.horizon_hours:
            step = f"`--horizon-steps {self.series.of_a_day}`, which predicts the label from its past"
        return (
            f"warning: on the rows that validate {self.naive.rule} is nearer ({short(rule.figure)}) than the model "
            f"({short(model.figure)}), which its gate would refuse. "
            f"Next: {step}"
        )

    def place(self, line: int) -> str:
        """Where a line is: `line 7`, or `b.csv, line 7` for rows of several files."""
        before, name = max((one for one in self.begins if one[0] < line), default=(0, ""))
        return f"{name}, line {line - before}" if name else f"line {line}"


def propose(
    source: Source,
    choices: Choices,
    *,
    today: date,
    minutes: float = 0,
    part: PartAtHand | None = None,
    say: Callable[[int, str], None] = lambda *_: None,
    known: Division | None = None,
) -> Proposal:
    """The proposal for a file of labelled rows.

    `today` stands for the time of the drop: rows without a time of their own get it. A trial of candidates may take
    `minutes`; with 0 there is none. Of rows of text it also tries the vectors of `part`. `say` is told the number
    and the name of each phase before it begins. `known` is by what rows are divided, if that was found before.

    Raises ConfigurationError if something cannot be decided, with the candidates, or if training would stop, with the
    cause."""
    check_choices(choices, source)
    given = choices
    say(2, f"looking at {count(len(source.table.column_names), 'column')} of {source.table.num_rows:,} rows")
    reading = read(source, choices, today)
    features = _features(reading)
    # What no model reads may be missing and hold anything, before any row is judged.
    reading = reading.without_needing([column.name for column in features.others])
    say(3, "reading the rows by the proposed contract")
    accepted, refused, begins = _validated(reading, today)
    series = find_series(accepted, key=reading.key, event_time=reading.event_time) if reading.is_in_time else None
    choices = _with_hours(reading.choices, series, reading.where)
    reading = replace(reading, choices=choices)
    if series is not None and choices.horizon_hours:
        features = features.with_history(series, reading.seen, reading.contract)
        kind = LABEL_KINDS[reading.guesses["kind"].value]
        ahead = kind.horizon(choices.horizon_hours, series.every_hours)
        reading, features = with_known(reading, features, ahead if isinstance(ahead, list) else [ahead])
        accepted = filled(reading, accepted)
    _check_any(reading, features)
    say(4, "looking for what rows are about")
    division = known or find_division(reading, features, accepted, given)
    if division and division.is_order and not known:
        again = replace(given, is_in_order=True)
        return propose(source, again, today=today, minutes=minutes, part=part, say=say, known=division)
    if division and division.columns:
        reading, features = by_group(reading, features, division)
        _check_any(reading, features)
        accepted, refused, begins = _validated(reading, today)
    say(5, "rehearsing a training: parts, the rule to beat, columns that give the label away")
    spans, rehearsal = _rehearsed(reading, features, accepted)
    # The one correction: a rehearsal shows which columns give the label away, and these are no features.
    if leaks := _leaks(reading, features, rehearsal):
        features = features.without(leaks)
        _check_any(reading, features)
        reading, rows = reading.without_needing([column.name for column in leaks]), accepted.num_rows
        accepted, refused, begins = _validated(reading, today)
        accepted = filled(reading, accepted)
        if accepted.num_rows != rows:
            spans, rehearsal = _rehearsed(reading, features, accepted)
    trial = _tried(reading, features, series, spans, rehearsal, accepted, minutes, part, say)
    if trial.chosen.features != features:
        features = trial.chosen.features
        spans, rehearsal = _rehearsed(reading, features, accepted)
    # What is proposed, and the sentences on what is conspicuous.
    prediction, rows = reading.prediction(features), accepted.num_rows
    spans = replace(spans, walk_forward_steps=rehearsal.walk_forward_steps)
    moments = rehearsal.examples.times_N if reading.is_in_time else None
    ranged = [column for column in reading.seen if reading.contract.column(column.name).find(Range)]
    found = [division.said] if division else []
    found += [said] if (said := too_good(trial, rehearsal, features)) else []
    found += afterwards(accepted, reading.event_time, features) if reading.is_in_time else []
    found += empty_cells(_read_columns(reading, features))
    found += findings(
        ranged,
        reading.label,
        accepted.drop_columns([LINE]),
        moments,
        reading.key,
        horizon_hours=choices.horizon_hours,
        is_class=isinstance(LABEL_KINDS[prediction.task], Classes),
    )
    found += spellings(reading.seen)
    found += recodings([column for column in reading.seen if column.name in features.columns])
    if series is not None:
        numbers = [column.name for column in ranged if column.is_number]
        found += without_rows(series, refused=len(refused))
        found += standing_still(
            accepted, numbers, key=reading.key, event_time=reading.event_time, series=series.entities
        )
    return Proposal(
        source=source,
        prediction=prediction,
        contract=reading.contract,
        guesses=reading.guesses,
        not_in_contract=reading.left_out,
        no_features=features.others,
        may_be_missing=tuple(one.name for one in features.others if not reading.contract.column(one.name).required),
        notes=(*reading.notes, *found),
        spans=spans,
        rehearsal=rehearsal,
        series=series,
        trial=trial,
        accepted=accepted,
        refused=refused,
        begins=begins,
        contract_yaml=_contract_yaml(reading, prediction),
        workload_yaml=workload_document(
            prediction,
            spans,
            rehearsal.naive,
            source=reading.where,
            rows=rows,
            stretches=rehearsal.stretches,
            family=trial.chosen.family,
            tried=trial.lines,
        ),
    )


def _tried(
    reading: Reading,
    features: Features,
    series: Series | None,
    spans: Spans,
    rehearsal: Rehearsal,
    accepted: pa.Table,
    minutes: float,
    part: PartAtHand | None,
    say: Callable[[int, str], None],
) -> Trial:
    """The trial of what may suit the rows. Without `minutes` it has the usual candidate alone, and nothing is tried."""
    prediction, rows, naive = reading.prediction(features), accepted.num_rows, rehearsal.naive
    family = usual_family(prediction, naive, rows)
    usual = Candidate(said=family.why, features=features, family=family)
    if part and (not minutes or family.name != "bag"):
        expected = "rows whose features are free text alone, and --minutes above 0"
        raise ConfigurationError(where=reading.where, field="--part", expected=expected, came=family.why)
    if not minutes or prediction.image_side:
        say(6, "nothing is tried: " + ("--minutes 0" if not minutes else "images have no trial"))
        return Trial(candidates=(usual,), usual=usual)
    found = candidates(family, features, prediction, series, rehearsal, part)
    documents = [
        workload_document(
            reading.prediction(each.features), spans, naive, source=reading.where, rows=rows, family=each.family
        )
        for each in found
    ]
    usual_at = next(number for number, each in enumerate(found) if (each.family, each.features) == (family, features))
    many = f"{len(found)} candidates" if len(found) > 1 else "the usual recipe"
    longest = f"about {minutes:g} minutes, {LATE * minutes:g} at most; --minutes 0 leaves it out"
    say(6, f"trying {many} and simple models on the rows: {longest}")
    tried, failed, problem = run_trial(
        documents,
        _contract_yaml(reading, prediction),
        accepted,
        usual=usual_at,
        minutes=minutes,
        part=part.path if part else None,
    )
    return Trial(candidates=found, usual=found[usual_at], unit=naive.unit, tried=tried, failed=failed, problem=problem)


def _with_hours(choices: Choices, series: Series | None, where: str) -> Choices:
    """The choices with the horizon in hours.

    Raises ConfigurationError for a horizon in steps of rows that are no series, and if the rows are one and the horizon
    is no multiple of their distance."""
    if choices.horizon_steps and series is None:
        expected = "rows of each key at equal distances, or --horizon-hours"
        raise ConfigurationError(where=where, field="--horizon-steps", expected=expected, came="other rows")
    hours = choices.horizon_steps * series.every_hours if series and choices.horizon_steps else choices.horizon_hours
    if series is not None and abs(hours / series.every_hours - round(hours / series.every_hours)) > 1e-6:
        expected = f"a multiple of {series.step}, the distance of the rows"
        raise ConfigurationError(where=where, field="--horizon-hours", expected=expected, came=f"{hours:g} h")
    return replace(choices, horizon_hours=hours)


def _features(reading: Reading) -> Features:
    choices = reading.choices
    made = [OBSERVED_AT] if choices.makes_time else []
    made += [ROW_ID] if choices.has_no_key else []
    excluded = [] if choices.looks_ahead else [*reading.label_names]
    excluded += [] if reading.is_in_time else [reading.event_time, SPLIT]
    return find_features(
        reading.seen,
        reading.contract,
        excluded=[*excluded, *made],
        keep=choices.keep,
        event_time=reading.event_time,
    )


def _read_columns(reading: Reading, features: Features) -> list[Observed]:
    """The columns that a model reads, and those of the key.

    The label is left out: `findings` has a sentence of its own on rows without one."""
    others = {*reading.label_names, *(one.name for one in features.others)} - {*reading.key}
    return [column for column in reading.seen if column.name not in others]


def _check_any(reading: Reading, features: Features) -> None:
    if not features.columns and not any("history" in feature for feature in features.derived):
        reasons = {one.name: one.reason for one in features.others}
        changed = (f"; {column.name}: {column.changed}" for column in reading.seen if column.changed)
        expected = f"a column to predict from{''.join(changed)}"
        raise ConfigurationError(where=reading.where, field="features", expected=expected, came=reasons)


def _validated(
    reading: Reading, today: date
) -> tuple[pa.Table, tuple[QuarantinedRow, ...], tuple[tuple[int, str], ...]]:
    """The rows that keep the contract, in the order of event time; those that do not, by line; `Proposal.begins`.

    Raises ConfigurationError if fewer than FEWEST_ROWS rows keep it."""

    at = datetime.combine(today, time(), UTC)
    if reading.is_file_droppable:
        typed = typed_rows(reading.source, reading.contract, at=at)
        rows, unparsable, begins = typed.rows, typed.unparsable, typed.begins
    else:
        # Images are put into Parquet files later, so their rows are built from the observed cells here.
        cells = pa.Table.from_arrays([column.cells for column in reading.seen], schema=arrow_schema(reading.contract))
        lines = pa.array(range(1, cells.num_rows + 1), pa.int64())
        rows, unparsable, begins = cells.append_column(LINE, lines), (), ()
    verdict = validate(rows, up_to(reading.contract, reading, arrived=at), decodes=True)
    accepted = verdict.accepted
    refused = tuple(sorted((*unparsable, *verdict.refused), key=lambda row: row.line or 0))
    if accepted.num_rows < FEWEST_ROWS:
        expected = f"{FEWEST_ROWS} rows that keep the contract"
        came = f"{accepted.num_rows} of {rows.num_rows + len(unparsable)}; the first that does not: {refused[0].detail}"
        raise ConfigurationError(where=reading.where, field="rows", expected=expected, came=came)
    names = dict.fromkeys([reading.event_time, *reading.key])
    return accepted.sort_by([(name, "ascending") for name in names]), refused, begins


def _rehearsed(reading: Reading, features: Features, accepted: pa.Table) -> tuple[Spans, Rehearsal]:
    """The spans, and what training finds with them.

    Tries the shares of HELD_OUT, smallest first, and takes the first whose parts hold enough labels. If none does,
    raises the ConfigurationError of the smallest share."""
    from millrace.datasets.read import times

    prediction, kind = reading.prediction(features), LABEL_KINDS[reading.guesses["kind"].value]
    contract_yaml = _contract_yaml(reading, prediction)
    problem: ConfigurationError | None = None
    # Rows without times are split by key or by order: no share of HELD_OUT changes that, so one try is enough.
    is_by_time = reading.is_in_time and not reading.group
    for held_out in HELD_OUT if is_by_time else HELD_OUT[:1]:
        try:
            if is_by_time:
                moments = times(accepted, reading.event_time)
                spans = find_spans(moments, where=reading.where, held_out=held_out)
            else:
                days = times(accepted, reading.event_time).astype("datetime64[D]").astype(int) if reading.group else [0]
                spans = replace(spans_without_time(), days=int(days[-1] - days[0]))
            # The rehearsal itself measures the naive rule; a draft without its error is enough to load.
            draft = workload_document(prediction, spans, NO_NAIVE, source=reading.where, rows=accepted.num_rows)
            return spans, rehearse(draft, contract_yaml, accepted, kind, where=reading.where)
        except ConfigurationError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _leaks(reading: Reading, features: Features, rehearsal: Rehearsal) -> list[LeftOut]:
    """The features that give the label away. Images, columns of `--keep` and the label's own past are not judged."""
    images = [column.name for column in reading.contract.columns if column.find(ImageFormat)]
    names = [name for name in features.columns if name not in (*reading.choices.keep, *images, *reading.label_names)]
    entity = [name for name in reading.key if name != reading.event_time]
    # A column may give one of several labels away.
    targets = [*rehearsal.target_N.T] if reading.choices.labels else [rehearsal.target_N]
    found = {
        one.column: one
        for target_N in targets
        for one in find_leaks(rehearsal.examples, target_N, names, entity=entity, event_time=reading.event_time)
    }.values()
    return [LeftOut(name=one.column, reason=f"{one.reason} (--keep {one.column} takes it)") for one in found]


def _contract_yaml(reading: Reading, prediction: ProposedPrediction) -> str:
    return contract_document(
        prediction, reading.contract, source=reading.where, rows_seen=reading.source.table.num_rows
    )
