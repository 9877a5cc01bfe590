"""Link into an image's site-packages the packages that its requirements name and what those depend on, no others.

The image's `pip install` is not run: the host has the packages, in the versions of constraints.txt. A package that
the image does not name is not there either, as on AWS."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SITES = tuple(sorted({Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}))
"""Where the host's packages lie."""


def link(requirements: Iterable[str], into: Path) -> None:
    """Link every file and folder of the requirements' packages into the folder.

    Raises LookupError for a package that the host does not have."""
    into.mkdir(parents=True)
    for found in _closure(requirements):
        for name in {file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
            source = Path(str(found.locate_file(name)))
            if source.exists():
                (into / name).symlink_to(source)


def read_requirements(path: Path) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def _closure(requirements: Iterable[str]) -> Iterator[Distribution]:
    waiting, seen = [(Requirement(line), "") for line in requirements], set()
    while waiting:
        wanted, asker = waiting.pop()
        key = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if key in seen:
            continue
        seen.add(key)
        found = _find(wanted.name, asker)
        # The same package comes again with other extras: they may need more, but its files are linked already.
        if not any(name == key[0] for name, extras in seen - {key}):
            yield found
        for line in found.requires or []:
            needed = Requirement(line)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append((needed, wanted.name))


def _find(name: str, asker: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        why = f", which {asker} needs" if asker else ""
        raise LookupError(f"requirements: expected an installed package {name}{why}, found none") from None
