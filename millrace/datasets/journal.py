"""What came into a table and what left it: an entry for each of its snapshots, those that have expired included.

A snapshot says which bytes it brought (`millrace.datasets.notes`). It expires, and what it says must stay: the same
bytes would come in again. The commit that removes snapshots names, in the table's property JOURNAL, a file with a line
for each of them, as Iceberg's own metadata has it, without the data:

    {"snapshot-id": 5, "sequence-number": 12, "timestamp-ms": 1767225600000, "summary": {"added-records": "48", …}}

Source of the names: https://iceberg.apache.org/spec/#snapshots"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from millrace.aws.objects import key_of_version
from millrace.contract.reasons import Reason, RowsByReason
from millrace.datasets.notes import (
    ALIAS,
    COMPACTED,
    DIGEST,
    ORIGIN,
    QUARANTINED,
    REASONS,
    REPLACED,
    REPLACED_ROWS,
    SUPERSEDED,
    UNLABELLED,
    UNPARSABLE,
    WITHDRAWN_DROP,
    WRITTEN_BY,
)

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

JOURNAL = "millrace.journal"
"""The property of a table with the URI of the file of its expired snapshots; not there before the first expired."""
JOURNAL_FILE = "journal-"
"""How the name of such a file begins."""
ADDED, TOTAL = "added-records", "total-records"
"""Iceberg's own notes: the rows of the data files that a snapshot added, and of all that it has."""
FILES_KNOWN = 2
"""How many of those files a process keeps in memory, one for each table; one of 100,000 snapshots takes some 80 MB."""

Read = Callable[[str], bytes]
"""The content of an object by its URI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a snapshot says."""

    snapshot_id: int
    place: int
    """Its sequence number: of two snapshots the later one has the greater."""
    committed_ms: int
    """Milliseconds since 1970."""
    notes: Mapping[str, str]

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """That of a snapshot which the table has."""
        return cls(
            snapshot_id=snapshot.snapshot_id,
            place=snapshot.sequence_number or 0,
            committed_ms=snapshot.timestamp_ms,
            notes=snapshot.summary.additional_properties if snapshot.summary is not None else {},
        )

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """That of a line of the file, or of a snapshot in the table's metadata, both JSON."""
        return cls(
            snapshot_id=document["snapshot-id"],
            place=document["sequence-number"],
            committed_ms=document["timestamp-ms"],
            notes=document["summary"],
        )

    def line(self) -> str:
        """The line of the file: our own notes and the numbers of rows."""
        ours = {name: text for name, text in self.notes.items() if name.startswith("millrace.")}
        rows = {name: self.notes[name] for name in (ADDED, TOTAL) if name in self.notes}
        document = {
            "snapshot-id": self.snapshot_id,
            "sequence-number": self.place,
            "timestamp-ms": self.committed_ms,
            "summary": ours | rows,
        }
        return json.dumps(document, separators=(",", ":"))

    @property
    def digest(self) -> str | None:
        return self.notes.get(DIGEST)

    @property
    def written_by(self) -> str:
        return self.notes.get(WRITTEN_BY, "")

    @property
    def uri(self) -> str:
        """The object and its version; empty for a snapshot that no object made."""
        return self.notes.get(ORIGIN, "")

    @property
    def key(self) -> str:
        """The landing key of that object."""
        return key_of_version(self.uri)

    @property
    def rows_added(self) -> int:
        """0 where files were only written anew."""
        return 0 if COMPACTED in self.notes else int(self.notes.get(ADDED) or 0)

    @property
    def rows_total(self) -> int:
        return int(self.notes.get(TOTAL) or 0)

    @property
    def rows_quarantined(self) -> int:
        return int(self.notes.get(QUARANTINED) or 0)

    @property
    def rows_labelled(self) -> int:
        """Of the rows that came, those with their label."""
        return self.rows_added - int(self.notes.get(UNLABELLED) or 0)

    @property
    def rows_replaced(self) -> int:
        """Of an earlier version of the object, which left for this one."""
        return int(self.notes.get(REPLACED_ROWS) or 0)

    @property
    def rows_refused(self) -> int:
        """Those that could not be parsed as well."""
        return self.rows_quarantined + int(self.notes.get(UNPARSABLE) or 0)

    @property
    def reasons(self) -> RowsByReason:
        """Of the quarantined rows."""
        return {Reason(name): rows for name, rows in json.loads(self.notes.get(REASONS) or "{}").items()}

    @property
    def is_first(self) -> bool:
        """Whether the bytes were new, and of no earlier version than the table had."""
        return ALIAS not in self.notes and SUPERSEDED not in self.notes

    @property
    def concerns(self) -> frozenset[str]:
        """The landing keys that it says something of."""
        named = self.key, self.notes.get(REPLACED, ""), self.notes.get(WITHDRAWN_DROP, "")
        return frozenset(filter(None, named))


class Expired:
    """The entries of a file. A line is parsed when it is asked for: a drop asks for two or three of 100,000."""

    def __init__(self, lines: bytes = b"") -> None:
        """`lines` end with a line break each."""
        self._lines = lines

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Those of a file, which has been written in one or more parts."""
        return cls(gzip.decompress(content))

    def __iter__(self) -> Iterator[JournalEntry]:
        return (JournalEntry.parse(json.loads(line)) for line in io.BytesIO(self._lines))

    def with_digest(self, digest: str) -> list[JournalEntry]:
        return [self._entry_at(place) for place in self._by_digest.get(_escaped(digest), ())]

    def about(self, key: str) -> list[JournalEntry]:
        return [self._entry_at(place) for place in self._by_key.get(_escaped(key), ())]

    @cached_property
    def _by_digest(self) -> Mapping[bytes, list[int]]:
        return _places(_DIGEST, self._lines)

    @cached_property
    def _by_key(self) -> Mapping[bytes, list[int]]:
        return _places(_KEY, self._lines)

    def _entry_at(self, place: int) -> JournalEntry:
        begin, end = self._lines.rfind(b"\n", 0, place) + 1, self._lines.index(b"\n", place)
        return JournalEntry.parse(json.loads(self._lines[begin:end]))


_DIGEST = re.compile(f'"{re.escape(DIGEST)}":"([^"]*)'.encode())
_KEY = re.compile(
    rf'"(?:{re.escape(ORIGIN)}":"s3://[^/"]*/((?:[^"\\]|\\.)*)|(?:{re.escape(REPLACED)}|{re.escape(WITHDRAWN_DROP)})":'
    r'"((?:[^"\\]|\\.)*))'.encode()
)
"""What follows the bucket in an object's URI, as a line of the file has it, or a landing key."""


def _places(pattern: re.Pattern[bytes], lines: bytes) -> Mapping[bytes, list[int]]:
    """By what a group of the pattern finds where it was found; once for each line."""
    found = defaultdict[bytes, list[int]](list)
    for match in pattern.finditer(lines):
        first = match[1] or b""
        places = found[first.rpartition(b"?versionId=")[0] or first or match[match.lastindex or 0]]
        if not places or lines.find(b"\n", places[-1], match.start()) >= 0:
            places.append(match.start())
    return found


def _escaped(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()


def render(entries: Iterable[JournalEntry]) -> bytes:
    """A part of a file: behind the parts before it, it is a whole file.

    Source: https://www.rfc-editor.org/rfc/rfc1952#section-2.2"""
    return gzip.compress("".join(f"{entry.line()}\n" for entry in entries).encode(), mtime=0)


class Journal:
    """All entries of a table."""

    def __init__(self, expired: Expired, present: Iterable[JournalEntry]) -> None:
        self.expired, self.present = expired, tuple(present)

    @classmethod
    def of(cls, iceberg: IcebergTable) -> Self:
        """That of the table as it is in memory; the file of its expired snapshots is read once in a process."""
        return cls.of_metadata(iceberg.metadata, partial(read_file, iceberg))

    @classmethod
    def of_metadata(cls, metadata: TableMetadata, read: Read) -> Self:
        return cls(read_expired(metadata.properties, read), map(JournalEntry.of, metadata.snapshots))

    @classmethod
    def of_document(cls, document: Mapping[str, Any], read: Read) -> Self:
        """That of the metadata file, JSON, for a function without pyiceberg."""
        return cls(
            read_expired(document.get("properties", {}), read), map(JournalEntry.parse, document.get("snapshots", []))
        )

    def __iter__(self) -> Iterator[JournalEntry]:
        """In the order of their commits."""
        return iter(_in_order([*self.expired, *self.present]))

    def with_digest(self, digest: str) -> list[JournalEntry]:
        """What says that it brought these bytes, or would have."""
        recent = [entry for entry in self.present if entry.digest == digest]
        return _in_order([*self.expired.with_digest(digest), *recent])

    def about(self, key: str) -> list[JournalEntry]:
        """What says something of the object with this landing key."""
        recent = [entry for entry in self.present if key in entry.concerns]
        return _in_order([*self.expired.about(key), *recent])

    def up_to(self, snapshot_id: int) -> list[JournalEntry]:
        """The entry of the snapshot and those before it."""
        entries = list(self)
        at = next(entry.place for entry in entries if entry.snapshot_id == snapshot_id)
        return [entry for entry in entries if entry.place <= at]


def _in_order(entries: list[JournalEntry]) -> list[JournalEntry]:
    # A tagged snapshot stays where younger ones have expired.
    return sorted(entries, key=lambda entry: entry.place)


_KNOWN: dict[str, Expired] = {}


def read_file(iceberg: IcebergTable, uri: str) -> bytes:
    """One of the table's own files."""
    with iceberg.io.new_input(uri).open() as stream:
        return bytes(stream.read())


def read_expired(properties: Mapping[str, str], read: Read) -> Expired:
    """The entries of the file that the table's properties name. No such file is ever altered: a later one takes its
    place."""
    uri = properties.get(JOURNAL)
    if uri is None:
        return Expired()
    if uri not in _KNOWN:
        while len(_KNOWN) >= FILES_KNOWN:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[uri] = Expired.parse(read(uri))
    return _KNOWN[uri]
