"""Archives that tests make."""

import io
import tarfile
import zipfile
from collections.abc import Mapping


def zipped(method: int = zipfile.ZIP_DEFLATED, /, **members: bytes | str) -> bytes:
    """The archive with these files: `zipped(**{"app.py": "def handler(e, c): ..."})`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def untarred(body: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member)) is not None}
