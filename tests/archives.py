"""Archives of artefacts as the platform makes them of a folder that a training job wrote."""

from __future__ import annotations

import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from millrace.artefact.artefact import Artefact, write_folder


def write_archive(path: Path, artefact: Artefact) -> None:
    """Write the artefact's members to the archive `path`."""
    with TemporaryDirectory() as folder, tarfile.open(path, "w:gz", compresslevel=1) as archive:
        write_folder(Path(folder), artefact)
        for member in sorted(Path(folder).iterdir()):
            archive.add(member, member.name)
