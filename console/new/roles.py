"""Guesses what a file does not declare: label, positive class, event time and key.

Each guess has its reason. Where no guess is safe, an error lists the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from millrace.console.new.columns import MOST_MISFITS, Profile
from millrace.console.new.keys import Panel, Panels, rank_of_names, repeated_cells
from millrace.console.new.kinds import FLAGS, LABEL_KINDS, LABELS, NEGATIVE, as_flag, described, likely_kind
from millrace.console.new.read import Source
from millrace.console.new.words import counted, is_called, is_identifier
from millrace.errors import ConfigurationError
from millrace.spelling import did_you_mean
from millrace.tasks.catalogue import TASKS

POSITIVE = ("1", "1.0", "true", "yes", "y", "positive", "pos", "+", "ja", "oui", "si", "sí", "sim")
MOST_SHOWN = 8
MOST_REPEATED = 0.2
"""Share of the rows that may repeat a cell, so that its column is still offered as a key."""
Value = TypeVar("Value")
NAME = re.compile(r"^[a-z][a-z0-9_]{1,23}$")
SIZE = re.compile(r"^([0-9]+)x([0-9]+)$")
FEWEST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The options of the command. What an empty option would say is guessed."""

    name: str
    label: str = ""
    labels: tuple[str, ...] = ()
    """Several columns that are predicted together; `label` is the first. Empty for one."""
    positive: str = ""
    event_time: str = ""
    has_no_event_time: bool = False
    is_in_order: bool = False
    """Whether the first row is the oldest."""
    time_format: str = ""
    key: tuple[str, ...] = ()
    has_no_key: bool = False
    kind: str = ""
    unit: str = ""
    """The unit of a predicted number, such as `EUR`."""
    horizon_hours: float = 0
    group: tuple[str, ...] = ()
    """The columns that name what a row is about; empty if they are to be found."""
    has_no_group: bool = False
    """Whether rows are not to be searched for it."""
    horizon_steps: int = 0
    """The horizon in rows of an entity, if not in hours; `proposal` turns it into hours."""
    known: tuple[str, ...] = ()
    """Columns whose cells are known ahead, such as promotions."""
    leave_out: tuple[str, ...] = ()
    """Columns that the contract will not have."""
    keep: tuple[str, ...] = ()
    """Columns that become features although they are of a person or give the label away."""
    asks: bool = False
    """Whether a doubt stops the proposal, with the options that settle it."""
    image_size: str = ""
    """Height and width in pixels to which all images are scaled: `64x64`."""
    calls_a_day: int = 0
    """How many requests come; 0 if nobody says."""
    hurts: str = ""
    """The class that is bad to miss."""
    is_plain: bool = False
    """Whether nothing is proposed beside the model."""
    classes: tuple[str, ...] = ()
    """The values of a label that the file lacks: people give it before there is a model. Empty for a label in the file.
    """

    @property
    def looks_ahead(self) -> bool:
        """Whether the label of a later row is predicted."""
        return self.horizon_hours > 0 or self.horizon_steps > 0

    @property
    def makes_time(self) -> bool:
        """Whether the rows have no times of their own, and the contract generates one."""
        return self.has_no_event_time or self.is_in_order

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of `image_size`; None if it is empty or written in another way."""
        found = SIZE.match(self.image_size)
        return (int(found[1]), int(found[2])) if found else None


def check_choices(choices: Choices, source: Source) -> None:
    """Raise ConfigurationError if an option has an impossible value, or names columns that the file does not have."""
    where, names = source.path.name, source.table.column_names
    rows = source.table.num_rows
    series = "the label so many hours later: --horizon-hours; images: --from with a folder"
    task = f"{choices.kind}, a task that only a workload.yaml written by hand declares"
    kind = task if choices.kind in TASKS else choices.kind
    # A row for each check: the option, what it should be, what it is, and whether that is good.
    for option, expected, came, good in (
        ("NAME", "2 to 24 small letters, digits and _, a letter first", choices.name, NAME.match(choices.name)),
        ("--kind", f"{described()}; {series}", kind, choices.kind in ("", *LABEL_KINDS)),
        ("rows", f"{FEWEST_ROWS} labelled rows or more", rows, rows >= FEWEST_ROWS),
        ("--image-size", "height x width such as 64x64", choices.image_size, not choices.image_size or choices.size),
    ):
        if not good:
            raise ConfigurationError(where=where, field=option, expected=expected, came=came)
    for option, columns in (
        ("--leave-out", choices.leave_out),
        ("--keep", choices.keep),
        ("--known", choices.known),
        ("--group", choices.group),
        ("--label", choices.labels),
    ):
        if unknown := sorted({*columns} - {*names}):
            expected = f"columns of the file ({', '.join(names)}){did_you_mean(unknown, names)}"
            raise ConfigurationError(where=where, field=option, expected=expected, came=unknown)
    if choices.classes and (choices.label in ("", *names) or len({*choices.classes}) < 2 or choices.looks_ahead):
        expected = "two classes or more of one --label that is no column of the file, without a horizon"
        came = f"{', '.join(choices.classes)} of {choices.label or 'no --label'}"
        raise ConfigurationError(where=where, field="--classes", expected=expected, came=came)
    if choices.classes and (choices.hurts or choices.calls_a_day):
        expected = "neither --hurts nor --calls-a-day beside it: without labels no gate and no canary is proposed"
        came = choices.hurts or choices.calls_a_day
        raise ConfigurationError(where=where, field="--classes", expected=expected, came=came)
    if choices.known and not choices.looks_ahead:
        expected = "--horizon-hours or --horizon-steps beside it: of the row's own moment every column is known"
        raise ConfigurationError(where=where, field="--known", expected=expected, came=list(choices.known))
    if choices.horizon_steps and choices.horizon_hours:
        expected = "one of --horizon-hours and --horizon-steps"
        raise ConfigurationError(where=where, field="--horizon-steps", expected=expected, came="both")
    if choices.is_in_order and (choices.event_time or choices.has_no_event_time):
        expected = "no --event-time and no --no-event-time beside it: the order of the rows is their time"
        raise ConfigurationError(where=where, field="--rows-in-order", expected=expected, came="both")


@dataclass(frozen=True, kw_only=True)
class Guess(Generic[Value]):
    """A choice, its reason, and the alternatives."""

    value: Value
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Guesser:
    """Guesses over the columns of one file. Each method takes the option of the command, empty if it was not given."""

    where: str
    """The file's name, for errors."""
    columns: tuple[Profile, ...]

    def label(self, choice: str, kind: str) -> Guess[Profile]:
        """The column that is to be predicted. Raises ConfigurationError with the candidates if no guess is safe."""
        if choice:
            return Guess(value=self._named("--label", choice), reason="you said so")
        found = [
            column for column in self.columns if (LABEL_KINDS[kind].suits(column) if kind else likely_kind(column))
        ]
        named = [column for column in found if is_called(column.name, LABELS)]
        others = tuple(column.name for column in found)
        # First by name. Columns that cannot be a label (of the kind, if one is wanted) are not in `found`.
        if len(named) == 1:
            reason = f"the only column that is called like a label ({_describe(named[0])})"
            return Guess(value=named[0], reason=reason, others=_without(others, named[0]))
        # No name helps. The only column of the wanted kind (of two values, if no kind is wanted) is safe if it is last.
        pairs = [column for column in found if LABEL_KINDS["binary"].suits(column)]
        alone = found if kind else pairs
        if len(alone) == 1 and alone[0] is self.columns[-1]:
            what = LABEL_KINDS[kind or "binary"].wanted.split(":")[0].removeprefix("a ")
            return Guess(value=alone[0], reason=f"the only {what}, and the last ({_describe(alone[0])})")
        # No safe guess: the error lists columns of two values first, else all that may be a label, else the columns.
        shown = [f"{column.name} ({_describe(column)})" for column in (pairs or found or self.columns)[:MOST_SHOWN]]
        return self._stop("label", f"--label with one of {'; '.join(shown)}", "no --label")

    def kind(self, label: Profile, choice: str) -> Guess[str]:
        """The kind of the label. Raises ConfigurationError if the label suits no kind, or not the chosen one."""
        suited = [name for name, kind in LABEL_KINDS.items() if kind.suits(label)]
        came = f"{label.name}, {_describe(label)}"
        said = f"; {label.name}: {label.changed}" if label.changed else ""
        if choice and choice not in suited:
            ways = f", or --kind {' or --kind '.join(suited)}" if suited else ""
            self._stop("--kind", f"{choice} to have {LABEL_KINDS[choice].wanted}{ways}{said}", came)
        if choice:
            return Guess(value=choice, reason="you said so")
        likely = likely_kind(label)
        if likely is None:
            wanted = "; or ".join(f"{each.wanted} (kind {each.name})" for each in LABEL_KINDS.values())
            return self._stop("--label", f"{wanted}{said}", came)
        others = tuple(name for name in suited if name != likely.name)
        return Guess(value=likely.name, reason=f"{likely.reason(label)} (--kind says otherwise)", others=others)

    def positive(self, label: Profile, choice: str) -> Guess[str | int | bool]:
        """The label's value that 1 stands for. Raises ConfigurationError if `choice` is no value of the label."""
        counts = counted(label.cells)
        known = [value for value, _ in counts]
        if choice:
            chosen = [value for value in known if str(value).lower() == choice.lower()]
            if not chosen:
                self._stop("--positive", f"one of {label.name}'s values {known}", choice)
            return Guess(value=chosen[0], reason="you said so")
        # A word that says yes, else the one beside a word that says no, else the rarer value.
        words = [value for value in known if str(value).lower() in POSITIVE]
        if len(words) == 1:
            return Guess(value=words[0], reason="it says yes", others=tuple(str(v) for v in known if v != words[0]))
        negative = [value for value in known if str(value).lower() in NEGATIVE]
        if len(negative) == 1:
            [other] = [value for value in known if value != negative[0]]
            return Guess(value=other, reason=f"the other one is {negative[0]!r}", others=(str(negative[0]),))
        # `counts` ends with the rarest value; of equally frequent ones it ends with the last in order.
        rarer, rows = counts[-1]
        if rows == counts[0][1]:
            reason = "no other is rarer, and it is the last in order (--positive says otherwise)"
            return Guess(value=rarer, reason=reason, others=(str(counts[0][0]),))
        reason = f"it is the rarer of the two ({rows:,} of {sum(rows for _, rows in counts):,} rows)"
        return Guess(value=rarer, reason=reason, others=(str(counts[0][0]),))

    def event_time(self, choice: str) -> Guess[Profile]:
        """The column of this name. Raises ConfigurationError if it holds no times."""
        column = self._named("--event-time", choice)
        if not column.is_time:
            expected = "a column of times (2024-05-01T12:00:00, or --time-format 'dd/MM/yyyy HH:mm')"
            expected += "; seconds or milliseconds since 1970 are none" if column.is_number else ""
            expected += f"; {choice}: {column.changed}" if column.changed else ""
            self._stop("--event-time", expected, f"{choice}, {_describe(column)}")
        return Guess(value=column, reason="you said so")

    def key(
        self, choice: Sequence[str], event_time: Profile | None, label: Profile, *, looks_around: bool = False
    ) -> Guess[tuple[str, ...]] | None:
        """The columns that identify a row; None if none were found.

        `event_time` is None if the file has none of its own. `looks_around` requires the event time in the key: a label
        hours ahead and a history find the rows of an entity by it. Raises ConfigurationError if a column of `choice`
        cannot be in a key, or if several columns would do."""
        if choice:
            columns = [self._named("--key", name) for name in choice]
            for column in columns:
                if column is label or column.kind == "float64" or not column.is_nearly_complete:
                    expected = "columns that always hold a text, a whole number or a time"
                    self._stop("--key", expected, f"{column.name}, {_describe(column)}")
            return Guess(value=tuple(choice), reason=f"you said so{self._better(columns, event_time, label)}")
        # `fit` may be in a key, `alone` is one by itself.
        fit = self.fit(label)
        alone = [one for one in fit if one.is_unique and one.is_nearly_unique and one is not event_time]
        # A number that differs in each row and names none, such as a population, is no key.
        alone = [one for one in alone if one.kind != "int64" or rank_of_names(one)]
        if event_time and event_time.is_unique and not event_time.repeats:
            entities = [one for one in fit if one is not event_time and is_identifier(one.name)]
            return _of_unique_time(event_time, alone, entities, looks_around=looks_around)
        if alone and not looks_around:
            chosen = min(alone, key=lambda one: rank_of_names(one) or 4)
            # Several columns that differ in each row, and none that names rows: they may be numbers that say something.
            if len(alone) > 1 and not rank_of_names(chosen):
                return None
            reason = f"each {chosen.name} comes once{_but_for(repeated_cells(chosen))}"
            if not is_identifier(chosen.name):
                reason += f"; a later row of the same {chosen.name} is refused (--no-key keeps both)"
            return Guess(value=(chosen.name,), reason=reason, others=_without(_names(alone), chosen))
        # No column alone is different in each row. Tried in this order: a column that is so together with the event
        # time, a column called like an identifier that repeats few cells, a pair with the event time that repeats few.
        others = [column for column in fit if column is not event_time]
        repeats = {one.name: repeated_cells(one, event_time) for one in others} if event_time else {}
        exact = [one for one in others if repeats.get(one.name) == 0]
        named = [column for column in others if column.is_nearly_unique and is_identifier(column.name)]
        if named and not exact and not looks_around:
            chosen = named[0]
            reason = f"each {chosen.name} comes once{_but_for(repeated_cells(chosen))}"
            return Guess(value=(chosen.name,), reason=reason, others=_without(_names(named), chosen))
        if event_time is None:
            return None
        repeated = repeated_cells(event_time)
        if repeated <= MOST_MISFITS * len(event_time.cells) and not any(is_identifier(one.name) for one in exact):
            # A series in which an hour came twice, as when clocks are put back: no other column tells such rows apart.
            reason = f"each {event_time.name} comes once{_but_for(repeated)}"
            return Guess(value=(event_time.name,), reason=reason, others=_names(exact))
        found = exact or [one for one in others if repeats[one.name] <= MOST_MISFITS * len(one.cells)]
        # Several columns tell the rows of one time apart, or a model is to find the rows of an entity by them.
        if (looks_around or not found) and (keys := Panels(others, event_time).keys()):
            return _of_panel(keys)
        if looks_around or not found:
            return None
        # The column that tells apart the rows of one time: one that is called like an identifier, or of few values.
        chosen = min(found, key=lambda one: (not is_identifier(one.name), one.distinct))
        reason = f"each {chosen.name} comes once at a time{_but_for(repeats[chosen.name])}"
        if not is_identifier(chosen.name):
            reason += f"; a guess, as nothing says that {chosen.name} names a row (--no-key takes none)"
        return Guess(value=(chosen.name, event_time.name), reason=reason, others=_without(_names(found), chosen))

    def fit(self, label: Profile) -> list[Profile]:
        """The columns that may be in a key."""
        fit = [column for column in self.columns if column.is_nearly_complete and column is not label]
        return [one for one in fit if one.kind not in ("float64", "boolean", "binary") and not one.is_sentences]

    def _better(self, columns: list[Profile], event_time: Profile | None, label: Profile) -> str:
        """The key that keeps rows which the chosen one would quarantine, in words; "" without one."""
        if event_time is None or event_time not in columns:
            return ""
        repeated, rows = repeated_cells(*columns), len(event_time.cells)
        if repeated <= MOST_MISFITS * rows or not (keys := Panels(self.fit(label), event_time).keys()):
            return ""
        return f", but {repeated:,} of {rows:,} rows repeat one and will be quarantined; better {keys[0]}"

    def nearest(self, event_time: Profile, label: Profile) -> Guess[tuple[str, ...]] | None:
        """The key of the series that keeps most rows, though more than a few are lost; None without series."""
        panels = Panels(self.fit(label), event_time).nearest()
        fit = [one for one in panels if one.is_series and one.repeated <= MOST_REPEATED * one.rows]
        return _of_panel(fit) if fit else None

    def _named(self, option: str, name: str) -> Profile:
        for column in self.columns:
            if column.name == name:
                return column
        names = _names(self.columns)
        return self._stop(option, f"one of {names}{did_you_mean([name], names)}", name)

    def _stop(self, field: str, expected: str, came: object) -> NoReturn:
        raise ConfigurationError(where=self.where, field=field, expected=expected, came=came)


def _of_panel(panels: Sequence[Panel]) -> Guess[tuple[str, ...]]:
    """The key that makes the first of these panels."""
    best, *others = panels
    names = tuple(",".join((*one.columns, one.event_time)) for one in others)
    return Guess(value=(*best.columns, best.event_time), reason=best.effect, others=names)


def _of_unique_time(
    event_time: Profile, alone: list[Profile], entities: list[Profile], *, looks_around: bool
) -> Guess[tuple[str, ...]]:
    """The key of a file in which each event time comes once: the time of a series, else a column that names rows.

    Without one it is the first of `entities`, which name whom rows are about, with the time: each has several rows.

    Some day two rows may have one time, so a column of `alone` that names rows is better. Equal distances between the
    times speak for a series. They may be chance, for example if things are listed by a clock, but a name such as
    `listing_id` is no chance."""
    names, others = sorted(filter(rank_of_names, alone), key=rank_of_names), _names(alone)
    if looks_around:
        reason = f"each {event_time.name} comes once, and rows find each other by their times"
    elif Panels((), event_time).panel(()).is_regular and not (names and is_identifier(names[0].name)):
        reason = f"each {event_time.name} comes once, and they lie at equal distances"
    elif not names and entities:
        name = entities[0].name
        reason = f"each {event_time.name} comes once, and rows are about a {name}, which can be erased by it"
        return Guess(value=(name, event_time.name), reason=reason, others=(event_time.name,))
    elif not names:
        reason = f"each {event_time.name} comes once"
    else:
        name = names[0].name
        reason = f"each {name} comes once, and names a row better than {event_time.name}: two rows may have one time "
        reason += "some day (for a series: --key with the time)"
        return Guess(value=(name,), reason=reason, others=(event_time.name, *_without(others, names[0])))
    return Guess(value=(event_time.name,), reason=reason, others=others)


def _but_for(repeated: int) -> str:
    rows = "row" if repeated == 1 else "rows"
    return f", but for {repeated:,} {rows} that will be quarantined" if repeated else ""


def several_labels(choices: Choices) -> Guess[str]:
    """The kind of several labels."""
    return Guess(value=FLAGS.name, reason=f"{len(choices.labels)} columns of yes and no are the label")


def one_of_several(column: Profile, where: str) -> Profile:
    """The column as one of several labels. Raises ConfigurationError if it is not one of yes and no."""
    found = as_flag(column)
    if found is None:
        expected = "several columns of 0 and 1, or of true and false"
        came = f"{column.name}, {_describe(column)}"
        raise ConfigurationError(where=where, field="--label", expected=expected, came=came)
    return found


def _describe(column: Profile) -> str:
    if column.distinct == 1 and not column.cells.null_count:
        return f"{column.cells[0].as_py()!r} in all {len(column.cells):,} rows: nothing can be learnt of it"
    if column.distinct <= MOST_SHOWN and not column.is_time and column.kind != "binary":
        return ", ".join(f"{value!r} {rows:,}×" for value, rows in counted(column.cells)) or "holds nothing"
    return f"a {column.kind} with {column.distinct:,} values"


def _names(columns: Sequence[Profile]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _without(names: tuple[str, ...], taken: Profile) -> tuple[str, ...]:
    return tuple(name for name in names if name != taken.name)
