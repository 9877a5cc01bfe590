"""Links the packages that an image's requirements name, and those that they need, into the image's site-packages.

Its `pip install` is not run: the host has the packages, in the versions of constraints.txt. No other package is linked.
So the import of a package that the image does not name fails here as it does on AWS.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SITES = tuple(sorted({Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}))
"""The folders with the host's packages."""


def link(requirements: Iterable[str], into: Path) -> None:
    """Link every file and folder of the requirements' packages into the folder `into`.

    Raises LookupError for a package that the host does not have."""
    into.mkdir(parents=True)
    # The first part of a file's path is what lies in site-packages: `numpy` of `numpy/__init__.py`. Scripts lie outside
    # (`../../bin/f2py`).
    for found in _closure(requirements):
        for name in {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
            source = Path(str(found.locate_file(name)))
            # Several packages may lie in one (`google`): the first links it whole.
            if source.exists() and not (into / name).exists():
                (into / name).symlink_to(source)


def read_requirements(path: Path) -> list[str]:
    """The lines of a requirements file that name a package, without comments, hashes and options (`-r`, `-c`)."""
    lines = [re.split(r"#| --", line)[0].strip() for line in path.read_text().replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    """Yields the installed packages that the requirements name, and all that those need, each once."""
    waiting, seen = [(Requirement(line), "") for line in requirements], set()
    while waiting:
        wanted, asker = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        found = _find(wanted.name, asker)
        # If the same package comes again with other extras, these may need more packages, but its own files are linked
        # already.
        if not any(name == key[0] for name, extras in seen - {key}):
            yield found
        for line in found.requires or []:
            needed = Requirement(line)
            # A marker such as `extra == "fast"` is evaluated with each wanted extra; without any extra, with "".
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((needed, wanted.name))


def _find(name: str, asker: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        why = f", which {asker} needs" if asker else ""
        raise LookupError(f"requirements: expected an installed package {name}{why}, found none") from None
