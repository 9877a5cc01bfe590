"""Changes keys of a workload.yaml and leaves every other line, with its remarks, as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from millrace.errors import RunError
from millrace.workload.load import read_workload

Keys = Mapping[tuple[str, str], object]
"""By section and key the new value; None takes the key away."""


def lines_of(keys: Keys) -> str:
    """The keys as lines of workload.yaml."""
    written: list[str] = []
    for section in dict.fromkeys(section for section, _ in keys):
        held = [(key, value) for (of, key), value in keys.items() if of == section]
        lines = [f"  # no {key}" if value is None else f"  {key}: {_value(value)}" for key, value in held]
        written += [f"{section}:", *lines]
    return "\n".join(written)


def write_keys(path: Path, keys: Keys) -> None:
    """Change the keys in the file. Raises RunError if a section is not written as a block, and the errors of
    `read_workload` for a value that the declaration refuses; the file is then as it was."""
    text = path.read_text()
    for (section, key), value in keys.items():
        text = _changed(text, section, key, value, str(path))
    with TemporaryDirectory() as temporary:
        tried = Path(temporary) / path.name
        tried.write_text(text)
        read_workload(tried)
    path.write_text(text)


def _changed(text: str, section: str, key: str, value: object, where: str) -> str:
    lines = text.splitlines()
    head = next((at for at, line in enumerate(lines) if re.match(rf"{section}:\s*(#.*)?$", line)), None)
    if head is None:
        came = next((line for line in lines if line.startswith(f"{section}:")), "nothing")
        raise RunError(f"{where}: expected the section {section} with a key on each line, got {came}")
    end = next((at for at in range(head + 1, len(lines)) if re.match(r"\S", lines[at])), len(lines))
    place = next((at for at in range(head + 1, end) if re.match(rf"  {key}:", lines[at])), None)
    new = [] if value is None else [f"  {key}: {_value(value)}"]
    if place is None:
        lines[head + 1 : head + 1] = new
    else:
        # What stands deeper belongs to the key.
        rest = next((at for at in range(place + 1, end) if not lines[at].startswith("   ")), end)
        lines[place:rest] = new
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
