"""The options of `millrace new`, and their checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from console.new.kinds.catalogue import LABEL_KINDS, described
from console.new.source import Source
from millrace.errors import ConfigurationError
from millrace.tasks.catalogue import TASKS

NAME = re.compile(r"^[a-z][a-z0-9_]{1,23}$")
SIZE = re.compile(r"^([0-9]+)x([0-9]+)$")
FEWEST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The options of the command. What an empty option would say is guessed."""

    name: str
    label: str = ""
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
    leave_out: tuple[str, ...] = ()
    """Columns that the contract will not have."""
    keep: tuple[str, ...] = ()
    """Columns that become features although they are of a person or give the label away."""
    image_size: str = ""
    """Height and width in pixels to which all images are scaled: `64x64`."""
    owner: str = "me"

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
    for field, expected, came, good in (
        ("NAME", "2 to 24 small letters, digits and _, a letter first", choices.name, NAME.match(choices.name)),
        ("--kind", f"{described()}; {series}", kind, choices.kind in ("", *LABEL_KINDS)),
        ("rows", f"{FEWEST_ROWS} labelled rows or more", rows, rows >= FEWEST_ROWS),
        ("--image-size", "height x width such as 64x64", choices.image_size, not choices.image_size or choices.size),
    ):
        if not good:
            raise ConfigurationError(where=where, field=field, expected=expected, came=came)
    for option, columns in (("--leave-out", choices.leave_out), ("--keep", choices.keep)):
        if unknown := sorted({*columns} - {*names}):
            expected = f"columns of the file ({', '.join(names)})"
            raise ConfigurationError(where=where, field=option, expected=expected, came=unknown)
    if choices.is_in_order and (choices.event_time or choices.has_no_event_time):
        expected = "no --event-time and no --no-event-time beside it: the order of the rows is their time"
        raise ConfigurationError(where=where, field="--rows-in-order", expected=expected, came="both")
