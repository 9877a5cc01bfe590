"""Who is live: the release pointers, item `release` (champion, previous, highest, revision)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from millrace.errors import ConflictError
from millrace.state.table import Attribute, StateTable

KEY = "release"


@dataclass(frozen=True, kw_only=True)
class Version:
    """A model version that is, was or is about to be live."""

    package_arn: str
    version: str
    """Number of the package in its group."""
    model_name: str
    run: str
    """Name of the train execution that made it."""
    baseline_uri: str
    """The monitors' baseline, made of the rows that this version was trained on."""
    model_data_url: str = ""


@dataclass(frozen=True, kw_only=True)
class Pointers:
    """The live version. A write names the revision that it has read and fails if another write was first."""

    champion: Version | None = None
    previous: Version | None = None
    highest: int = 0
    """The highest version that was ever live; 0 before the first release and in items from before this field."""
    revision: int = 0

    @property
    def newest(self) -> int:
        """The number of the newest version that is live or ever was; 0 before the first release."""
        return max(self.highest, *(int(one.version) for one in (self.champion, self.previous) if one), 0)

    def with_live(self, version: Version) -> Pointers:
        """The same with `version` live and the champion as previous."""
        newest = max(self.newest, int(version.version))
        return replace(self, champion=version, previous=self.champion, highest=newest)


class ReleasePointers:
    """The workload's pointers in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> Pointers:
        """All None and revision 0 before the first release."""
        item = self._table.get(KEY)
        return Pointers(
            champion=_version(item.get("champion")),
            previous=_version(item.get("previous")),
            highest=int(item.get("highest", {"N": "0"})["N"]),
            revision=int(item.get("revision", {"N": "0"})["N"]),
        )

    def champion(self) -> Version | None:
        """The live version, None before the first release."""
        return self.read().champion

    def move(self, pointers: Pointers) -> Pointers:
        """The pointers as written, one revision later; `pointers.revision` is the revision that was read.

        Raises ConflictError when another release moved them since."""
        item: dict[str, Attribute] = {
            "revision": {"N": str(pointers.revision + 1)},
            "highest": {"N": str(pointers.highest)},
        }
        for role, version in (("champion", pointers.champion), ("previous", pointers.previous)):
            if version:
                item[role] = {"M": _attributes(version)}
        # Optimistic: who read an older revision is refused and must read again. The first write finds no item.
        is_current = "revision = :revision"
        if pointers.revision == 0:
            is_current = f"attribute_not_exists(pk) OR {is_current}"
        if not self._table.put(KEY, item, is_current, {":revision": {"N": str(pointers.revision)}}):
            expected = f"expected revision {pointers.revision}, it has moved"
            raise ConflictError(f"{self._table.workload}: release pointers: {expected}")
        return replace(pointers, revision=pointers.revision + 1)


def _version(attribute: Attribute | None) -> Version | None:
    if attribute is None:
        return None
    # A rolled-back stack may read what newer code has written: fields that it does not know are left out.
    known = {field.name for field in fields(Version)}
    return Version(**{name: value["S"] for name, value in attribute["M"].items() if name in known})


def _attributes(version: Version) -> dict[str, Attribute]:
    return {name: {"S": value} for name, value in asdict(version).items()}
