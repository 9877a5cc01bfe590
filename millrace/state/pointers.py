"""The release pointers say which version is live: item `release` (champion, previous, highest, revision, canary).

    release = {"champion": {"M": {"version": {"S": "3"}, …}}, "previous": {"M": {"version": {"S": "1"}, …}},
               "highest": {"N": "3"}, "revision": {"N": "5"}}

A write names the revision that it has read. Of two releases that read revision 5, the first writes revision 6 and the
second gets ConflictError.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields, replace

from millrace.errors import ConflictError
from millrace.state.table import Attribute, StateTable, Value, attribute

KEY = "release"


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
    """The URI of the version's `model.tar.gz`."""
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


@dataclass(frozen=True, kw_only=True)
class Pointers:
    """The live version, and what a release must know of earlier ones."""

    champion: Version | None = None
    """The live version. None before the first release."""
    previous: Version | None = None
    """The version that was live before: a rollback returns to it."""
    highest: int = 0
    """The highest number of a version that was ever live. 0 before the first release, and in old items."""
    revision: int = 0
    """How often the pointers were written."""
    canary: CanaryVersion | None = None
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
        item = self._table.get(KEY)
        return Pointers(
            champion=_version(item.get("champion")),
            previous=_version(item.get("previous")),
            highest=int(item.get("highest", {"N": "0"})["N"]),
            revision=int(item.get("revision", {"N": "0"})["N"]),
            canary=_canary(item.get("canary")),
        )

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
        item: dict[str, Value] = {"revision": pointers.revision + 1, "highest": pointers.highest}
        for role, version in (("champion", pointers.champion), ("previous", pointers.previous)):
            if version:
                item[role] = {"M": _attributes(version)}
        if canary := pointers.canary:
            told = {"share": {"N": repr(canary.share)}, "execution": {"S": canary.execution}}
            item["canary"] = {"M": told | {"version": {"M": _attributes(canary.version)}}}
        # Compare and set: the write is refused if the stored revision is not the one that was read. Before the first
        # write there is no item to compare with.
        is_current = "revision = :revision"
        if pointers.revision == 0:
            is_current = f"attribute_not_exists(pk) OR {is_current}"
        if not self._table.put(KEY, item, is_current, revision=pointers.revision):
            expected = f"expected revision {pointers.revision}, it has moved"
            raise ConflictError(f"{self._table.workload}: release pointers: {expected}")
        return replace(pointers, revision=pointers.revision + 1)


def _canary(attribute: Attribute | None) -> CanaryVersion | None:
    if attribute is None:
        return None
    found = attribute["M"]
    version = _version(found["version"])
    assert version is not None
    return CanaryVersion(version=version, share=float(found["share"]["N"]), execution=found["execution"]["S"])


def _version(attribute: Attribute | None) -> Version | None:
    if attribute is None:
        return None
    # After the rollback of a deployment, this code may read what newer code has written. It leaves out unknown fields.
    known = {field.name for field in fields(Version)}
    return Version(**{name: value["S"] for name, value in attribute["M"].items() if name in known})


def _attributes(version: Version) -> dict[str, Attribute]:
    return {name: attribute(value) for name, value in asdict(version).items()}
