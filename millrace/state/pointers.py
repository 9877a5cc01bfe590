"""The release pointers say which version is live: item `release` (champion, previous, highest, revision, canary).

    release = {"champion": {"M": {"version": {"S": "3"}, …}}, "previous": {"M": {"version": {"S": "1"}, …}},
               "highest": {"N": "3"}, "revision": {"N": "5"}}

A write names the revision that it has read. Of two releases that read revision 5, the first writes revision 6 and the
second gets ConflictError.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace

from millrace.errors import ConflictError
from millrace.state.item import NEW, Form, Item
from millrace.state.table import Attribute, StateTable, attribute


@dataclass(frozen=True, kw_only=True)
class Version:
    """A model version that is, was or is about to be live."""

    package_arn: str
    version: str
    """The number of the package in its group."""
    model_name: str
    """The SageMaker model that the release made of the version."""
    run: str
    """The name of the train execution that made the version."""
    baseline_uri: str
    """The monitors' baseline, made of the rows that this version was trained on."""
    model_data_url: str = ""
    model_digest: str = ""
    """The SHA-256 of the artefact's members, as the registry keeps it.

    This digest and the next are empty for a version that was released before they were kept."""
    baseline_digest: str = ""
    """The SHA-256 of the baseline's file, as the registry keeps it."""
    promised_error: str = ""
    """The promised error that the version was evaluated for, such as `0.05`; empty if none was declared."""
    automate_from: str = ""
    """The least confidence that keeps the promised error, such as `0.83125`; empty if none does."""
    costs_digest: str = ""
    """The SHA-256 of the costs of wrong answers that the version was evaluated with; empty if none were declared."""
    rule_answer: str = ""
    """What the naive rule answered to every row in the version's evaluation, as JSON: `{"value": 1.5}`.

    Empty for a rule that looks back from each row, and for a workload without `rule` in `prediction.fallback`."""


@dataclass(frozen=True, kw_only=True)
class CanaryVersion:
    """A version that answers a share of the requests at the challenger's endpoint."""

    version: Version
    share: float
    execution: str
    """The ARN of its release."""

    def draws(self, call: str) -> bool:
        """Whether this version answers the call, of which `call` is the first decision's id.

        Whoever chooses the id does not know the execution, so cannot choose the version."""
        drawn = hashlib.sha256(f"{self.execution} {call}".encode()).digest()[:8]
        return int.from_bytes(drawn) < self.share * 2**64


def _read_version(found: dict[str, Attribute]) -> Version:
    # After the rollback of a deployment, this code may read what newer code has written. It leaves out unknown fields.
    known = {one.name for one in fields(Version)}
    return Version(**{name: value["S"] for name, value in found.items() if name in known})


def _write_version(version: Version) -> Attribute:
    return {"M": {name: attribute(value) for name, value in asdict(version).items()}}


def _read_canary(found: dict[str, Attribute]) -> CanaryVersion:
    version, share = _read_version(found["version"]["M"]), float(found["share"]["N"])
    return CanaryVersion(version=version, share=share, execution=found["execution"]["S"])


def _write_canary(canary: CanaryVersion) -> Attribute:
    share, version = {"N": repr(canary.share)}, _write_version(canary.version)
    return {"M": {"share": share, "execution": {"S": canary.execution}, "version": version}}


VERSION = {"form": Form(_read_version, _write_version)}


@dataclass(frozen=True, kw_only=True)
class Pointers(Item, key="release"):
    """The live version, and what a release must know of earlier ones."""

    champion: Version | None = field(default=None, metadata=VERSION)
    """The live version. None before the first release."""
    previous: Version | None = field(default=None, metadata=VERSION)
    """The version that was live before: a rollback returns to it."""
    highest: int = 0
    """The highest number of a version that was ever live. 0 before the first release."""
    revision: int = 0
    """How often the pointers were written."""
    canary: CanaryVersion | None = field(default=None, metadata={"form": Form(_read_canary, _write_canary)})
    """None unless a release is in the phase `canary`."""

    @property
    def answering(self) -> list[Version]:
        """The versions whose answers may act: the live one, the one before it, and a canary."""
        canary = self.canary.version if self.canary else None
        return [one for one in (self.champion, self.previous, canary) if one]

    @property
    def newest(self) -> int:
        """The highest number of a version that is or was live. 0 before the first release."""
        return max(self.highest, *(int(one.version) for one in (self.champion, self.previous) if one), 0)

    def is_new(self, version: str) -> bool:
        """Whether neither this version nor a newer one is or was live."""
        # Versions are compared as numbers: as text, 9 would be newer than 10.
        return int(version) > self.newest

    def with_live(self, version: Version) -> Pointers:
        """The pointers with `version` as champion and the champion so far as previous, without a canary."""
        newest = max(self.newest, int(version.version))
        return replace(self, champion=version, previous=self.champion, highest=newest, canary=None)


class ReleasePointers:
    """The workload's pointers in the state table."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def read(self) -> Pointers:
        """The pointers as stored. Before the first release there is no version, and the revision is 0."""
        return Pointers.find(self._table) or Pointers()

    def champion(self) -> Version | None:
        """The live version. None before the first release."""
        return self.read().champion

    def put_canary(self, version: Version, *, share: float, execution: str) -> None:
        """Let the version answer this share of the requests. Raises ConflictError as `move` does."""
        canary = CanaryVersion(version=version, share=share, execution=execution)
        self.move(replace(self.read(), canary=canary))

    def end_canary(self, execution: str) -> None:
        """Take the canary of this release out, if it is still there. Raises ConflictError as `move` does."""
        pointers = self.read()
        if pointers.canary and pointers.canary.execution == execution:
            self.move(replace(pointers, canary=None))

    def move(self, pointers: Pointers) -> Pointers:
        """Write the pointers over the revision that was read, `pointers.revision`. Returns them with the next revision.

        Raises ConflictError if another write came since."""
        # Compare and set: the write is refused if the stored revision is not the one that was read. Before the first
        # write there is no item to compare with.
        written = replace(pointers, revision=pointers.revision + 1)
        is_current = "revision = :revision" if pointers.revision else f"{NEW} OR revision = :revision"
        if not self._table.put(Pointers.sort_key(), written.attributes, is_current, revision=pointers.revision):
            expected = f"expected revision {pointers.revision}, it has moved"
            raise ConflictError(f"{self._table.workload}: release pointers: {expected}")
        return written
