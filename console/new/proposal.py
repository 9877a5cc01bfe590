"""The proposal of a new workload: everything that it will be, computed from a file before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Any

import pyarrow as pa

from millrace.console.image_folder import SPLIT
from millrace.console.new.columns import LeftOut
from millrace.console.new.decisions import decisions_of
from millrace.console.new.declare import (
    ProposedPrediction,
    contract_document,
    prediction_of,
    usual_family,
    workload_document,
)
from millrace.console.new.entities import Division, by_group, find_division
from millrace.console.new.event_times import without_windows
from millrace.console.new.families import Family, PartAtHand, with_part
from millrace.console.new.features import Features, filled, find_features, find_leaks, with_known
from millrace.console.new.files import typed_rows
from millrace.console.new.read import Doubt, Source
from millrace.console.new.reading import OBSERVED_AT, ROW_ID, Reading, read
from millrace.console.new.rehearsal import Rehearsal, rehearse
from millrace.console.new.roles import FEWEST_ROWS, Choices, Guess, check_choices
from millrace.console.new.spans import HELD_OUT, NO_NAIVE, Naive, Spans, find_spans, spans_without_time
from millrace.console.new.times import Series, find_series
from millrace.console.new.trial import LATE, Candidate, Trial, candidates, run_trial
from millrace.console.words import count
from millrace.contract.future import up_to
from millrace.contract.rules.image import ImageFormat
from millrace.contract.schema import LINE, Table, arrow_schema
from millrace.contract.validate import validate
from millrace.contract.violation import QuarantinedRow
from millrace.errors import ConfigurationError

Doubtful = tuple[Choices, Doubt]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The rows of the file by its contract."""

    accepted: pa.Table
    """In the order of event time. `_line` is the line of each in the file."""
    refused: tuple[QuarantinedRow, ...]
    """The rows that the contract would quarantine, by line."""
    begins: tuple[tuple[int, str], ...]
    """The number of lines before each file of several, with its name: lines count on from file to file."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What follows from the file and the options, before anything is tried. FEWEST_ROWS rows keep its contract."""

    reading: Reading
    features: Features
    rows: Judged
    series: Series | None
    division: Division | None
    """By what rows are divided, if they are."""
    spans: Spans
    rehearsal: Rehearsal

    @cached_property
    def prediction(self) -> ProposedPrediction:
        return prediction_of(self.reading, self.features)

    @property
    def contract(self) -> Table:
        return self.reading.contract

    @property
    def guesses(self) -> dict[str, Guess[Any]]:
        return self.reading.guesses

    @property
    def accepted(self) -> pa.Table:
        return self.rows.accepted

    @property
    def naive(self) -> Naive:
        """The rule that a model must beat."""
        return replace(self.rehearsal.naive, is_measured=not self.reading.choices.classes)

    @property
    def learnt(self) -> int:
        """The rows of the first training."""
        labels = int(self.rehearsal.examples.table.num_rows)
        return labels if self.reading.choices.classes else int(self.accepted.num_rows)

    @cached_property
    def contract_yaml(self) -> str:
        return _contract_yaml(self.reading, self.features)

    def document(self, features: Features, family: Family, **more: Any) -> str:
        """The text of workload.yaml with these features and this family."""
        prediction, asks = prediction_of(self.reading, features), bool(self.reading.choices.classes)
        more |= {"source": self.reading.where, "rows": self.learnt, "family": family, "asks_people": asks}
        return workload_document(prediction, self.spans, self.naive, **more)


@dataclass(frozen=True, kw_only=True)
class Proposal(Draft):
    """A proposed workload."""

    trial: Trial

    @property
    def refused(self) -> tuple[QuarantinedRow, ...]:
        return self.rows.refused

    @property
    def may_be_missing(self) -> tuple[str, ...]:
        """The columns without a model that reads them which later files and requests may lack."""
        return tuple(one.name for one in self.features.others if not self.contract.column(one.name).required)

    @cached_property
    def workload_yaml(self) -> str:
        every = self.series.every_hours if self.series else 0
        found = decisions_of(self.reading, self.prediction, self.rehearsal, days=self.spans.days, every_hours=every)
        more = {"stretches": self.rehearsal.stretches, "tried": self.trial.lines, "decisions": found}
        return self.document(self.features, self.trial.chosen.family, **more)

    def place(self, line: int) -> str:
        """Where a line is: `line 7`, or `b.csv, line 7` for rows of several files."""
        before, name = max((one for one in self.rows.begins if one[0] < line), default=(0, ""))
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
    `minutes`; with 0 there is none. Of rows of text it also tries the encoder of `part`. `say` is told the number
    and the name of each phase before it begins. `known` is by what rows are divided, if that was found before.

    Raises ConfigurationError if something cannot be decided, with the candidates, or if training would stop, with the
    cause; with `choices.asks` also for what is in doubt."""

    def again(changed: Choices, *doubts: Doubt, known: Division | None = None) -> Proposal:
        doubtful = replace(source, doubts=(*source.doubts, *doubts))
        return propose(doubtful, changed, today=today, minutes=minutes, part=part, say=say, known=known)

    check_choices(choices, source)
    say(2, f"looking at {count(len(source.table.column_names), 'column')} of {source.table.num_rows:,} rows")
    reading = read(source, choices, today)
    if choices.asks and (doubt := next(iter(reading.source.doubts), None)):
        raise ConfigurationError(where=reading.where, field=doubt.field, expected=doubt.otherwise, came=doubt.came)
    features = _features(reading)
    # What no model reads may be missing and hold anything, before any row is judged.
    reading = reading.without_needing([column.name for column in features.others])
    say(3, "reading the rows by the proposed contract")
    rows = _judged(reading, today)
    reading, features, series = _in_series(reading, features, rows.accepted)
    rows = replace(rows, accepted=filled(reading, rows.accepted))
    if alone := _alone(choices, reading, features, series):
        return again(*alone)
    say(4, "looking for what rows are about")
    division = known or find_division(reading, features, rows.accepted, choices)
    if division and division.is_order and not known:
        return again(replace(choices, is_in_order=True), *reading.source.doubts, known=division)
    if division and division.columns:
        reading, features = by_group(reading, features, division)
        rows = _judged(reading, today)
    say(5, "rehearsing a training: parts, the rule to beat, columns that give the label away")
    try:
        draft = _rehearsed(reading, features, rows, series, division)
    except ConfigurationError as error:
        if not reading.is_in_time or choices.event_time or choices.looks_ahead:
            raise
        return again(*without_windows(choices, reading.guesses["event time"].value, error))
    # The one correction: a rehearsal shows which columns give the label away, and these are no features.
    if not choices.classes and (leaks := _leaks(draft)):
        features = features.without(leaks)
        if alone := _alone(choices, reading, features, series):
            return again(*alone)
        reading = reading.without_needing([column.name for column in leaks])
        rows = _judged(reading, today)
        draft = _rehearsed(reading, features, rows, series, division)
    trial = _tried(draft, minutes, part, say)
    if trial.chosen.features != features:
        draft = _rehearsed(reading, trial.chosen.features, rows, series, division)
    return Proposal(**{each.name: getattr(draft, each.name) for each in fields(draft)}, trial=trial)


def _in_series(reading: Reading, features: Features, accepted: pa.Table) -> tuple[Reading, Features, Series | None]:
    """The reading and the features with a history and what is known ahead, if rows are a series and a label is ahead.

    Raises ConfigurationError as `_with_hours` does."""
    key, event_time = reading.key, reading.event_time
    series = find_series(accepted, key=key, event_time=event_time) if reading.is_in_time else None
    choices = _with_hours(reading.choices, series, reading.where)
    reading = replace(reading, choices=choices)
    if series is not None and choices.horizon_hours:
        features = features.with_history(series, reading.seen, reading.contract)
        ahead = reading.kind.horizon(choices.horizon_hours, series.every_hours)
        reading, features = with_known(reading, features, ahead if isinstance(ahead, list) else [ahead])
    return reading, features, series


def _tried(draft: Draft, minutes: float, part: PartAtHand | None, say: Callable[[int, str], None]) -> Trial:
    """The trial of what may suit the rows. Without `minutes` nothing is tried: it has the usual candidate alone, with
    the part where one is given."""
    unlabelled = draft.reading.choices.classes
    family, minutes = usual_family(draft.prediction, draft.naive, draft.learnt), 0 if unlabelled else minutes
    if part and family.name != (takes := part.header.kind.family):
        expected = "texts alone" if takes == "bag" else "an image alone"
        raise ConfigurationError(where=draft.reading.where, field="--part", expected=expected, came=family.why)
    if part and not minutes:  # taken untried
        family = with_part(family, part, len(draft.prediction.texts))
    usual = Candidate(said=family.why, features=draft.features, family=family)
    if not minutes or (draft.prediction.image_side and not part):
        why = "no row has a label yet" if unlabelled else "images have no trial" if minutes else "--minutes 0"
        say(6, f"nothing is tried: {why}")
        return Trial(candidates=(usual,), usual=usual)
    found = candidates(family, draft.features, draft.prediction, draft.series, draft.rehearsal, part)
    usual_at = [(each.family, each.features) for each in found].index((family, draft.features))
    many = f"{len(found)} candidates" if len(found) > 1 else "the usual recipe"
    longest = f"about {minutes:g} minutes, {LATE * minutes:g} at most; --minutes 0 leaves it out"
    say(6, f"trying {many} and simple models on the rows: {longest}")
    tried, failed, problem = run_trial(
        [draft.document(each.features, each.family) for each in found],
        draft.contract_yaml,
        draft.accepted,
        usual=usual_at,
        minutes=minutes,
        part=part.path if part else None,
    )
    unit = draft.naive.unit
    return Trial(candidates=found, usual=found[usual_at], unit=unit, tried=tried, failed=failed, problem=problem)


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
    return find_features(reading, [*excluded, *made])


def _alone(choices: Choices, reading: Reading, features: Features, series: Series | None) -> Doubtful | None:
    """What a label without any column beside it is predicted from: its own past, or numbers that are else left out.

    None where there are features. Raises ConfigurationError for a label that is really alone."""
    if features.columns or any("history" in feature for feature in features.derived):
        return None
    if series is not None and reading.kind.name == "regression" and not choices.looks_ahead:
        came, taken = "no column to predict from", f"the next {reading.label.name} is predicted, from those before it"
        doubt = Doubt(field="horizon", came=came, taken=taken, otherwise="--horizon-steps, --horizon-hours")
        return replace(choices, horizon_steps=1), doubt
    if features.derived:
        return None
    numbers = {one.name for one in reading.seen if one.is_number and one.distinct > 1 and one.name != "id"}
    others = {one.name: one.reason for one in (*features.others, *reading.left_out)}
    kept = [name for name in others if name in numbers and not reading.contract.column(name).is_protected]
    if not kept or {*kept} <= {*choices.keep}:
        expected = "a column to predict from, beside the label"
        raise ConfigurationError(where=reading.where, field="features", expected=expected, came=others)
    came = f"no other column to predict from than {', '.join(f'{name} ({others[name]})' for name in kept)}"
    doubt = Doubt(field="features", came=came, taken="taken all the same", otherwise="--leave-out")
    return replace(choices, keep=(*choices.keep, *kept)), doubt


def _judged(reading: Reading, today: date) -> Judged:
    """The rows of the file. Raises ConfigurationError if fewer than FEWEST_ROWS rows keep the contract."""
    at = datetime.combine(today, time(), UTC)
    if reading.is_file_droppable:
        rows, unparsable, begins = typed_rows(reading.source, reading.contract, at=at)
    else:
        # Images are put into Parquet files later, so their rows are built from the observed cells here.
        cells = pa.Table.from_arrays([column.cells for column in reading.seen], schema=arrow_schema(reading.contract))
        rows, unparsable, begins = cells.append_column(LINE, pa.array(range(1, cells.num_rows + 1), pa.int64())), [], ()
    verdict = validate(rows, up_to(reading.contract, reading, arrived=at), decodes=True)
    accepted = reading.labelled(verdict.accepted)
    refused = tuple(sorted((*unparsable, *verdict.refused), key=lambda row: row.line or 0))
    if accepted.num_rows < FEWEST_ROWS:
        expected = f"{FEWEST_ROWS} rows that keep the contract"
        came = f"{accepted.num_rows} of {rows.num_rows + len(unparsable)}; the first that does not: {refused[0].detail}"
        raise ConfigurationError(where=reading.where, field="rows", expected=expected, came=came)
    names = dict.fromkeys([reading.event_time, *reading.key])
    accepted = filled(reading, accepted.sort_by([(name, "ascending") for name in names]))
    return Judged(accepted=accepted, refused=refused, begins=begins)


def _rehearsed(
    reading: Reading, features: Features, rows: Judged, series: Series | None, division: Division | None
) -> Draft:
    """The draft, with the spans that fit and what training finds with them.

    Tries the shares of HELD_OUT, smallest first, and takes the first whose parts hold enough labels. If none does,
    raises the ConfigurationError of the smallest share."""
    from millrace.datasets.read import times

    contract_yaml, accepted, where = _contract_yaml(reading, features), rows.accepted, reading.where
    problem: ConfigurationError | None = None
    # Rows without times are split by key or by order: no share of HELD_OUT changes that, so one try is enough.
    is_by_time = reading.is_in_time and not reading.group
    for held_out in HELD_OUT if is_by_time else HELD_OUT[:1]:
        try:
            if is_by_time:
                spans = find_spans(times(accepted, reading.event_time), where=where, held_out=held_out)
            else:
                days = times(accepted, reading.event_time).astype("datetime64[D]").astype(int) if reading.group else [0]
                spans = replace(spans_without_time(), days=int(days[-1] - days[0]))
            # The rehearsal itself measures the naive rule; a draft without its error is enough to load.
            prediction = prediction_of(reading, features)
            draft = workload_document(prediction, spans, NO_NAIVE, source=where, rows=accepted.num_rows)
            found = rehearse(draft, contract_yaml, accepted, reading.kind, where=where)
        except ConfigurationError as error:
            problem = problem or error
            continue
        spans = replace(spans, walk_forward_steps=found.walk_forward_steps)
        return Draft(
            reading=reading,
            features=features,
            rows=rows,
            series=series,
            division=division,
            spans=spans,
            rehearsal=found,
        )
    assert problem is not None
    raise problem


def _leaks(draft: Draft) -> list[LeftOut]:
    """The features that give the label away. Images, columns of `--keep` and the label's own past are not judged."""
    reading, rehearsal = draft.reading, draft.rehearsal
    images = [column.name for column in draft.contract.columns if column.find(ImageFormat)]
    left = (*reading.choices.keep, *images, *reading.label_names)
    names = [name for name in draft.features.columns if name not in left]
    entity = [name for name in reading.key if name != reading.event_time]
    # A column may give one of several labels away.
    targets = [*rehearsal.target_N.T] if reading.choices.labels else [rehearsal.target_N]
    found = {
        one.name: one
        for target_N in targets
        for one in find_leaks(rehearsal.examples, target_N, names, entity=entity, event_time=reading.event_time)
    }
    return [*found.values()]


def _contract_yaml(reading: Reading, features: Features) -> str:
    prediction, rows = prediction_of(reading, features), reading.source.table.num_rows
    return contract_document(prediction, reading.contract, source=reading.where, rows_seen=rows)
