"""The journal of a table: what came into it and what left it, with an entry for each snapshot, also for expired ones.

The summary of a snapshot says which bytes it brought (`millrace.datasets.notes`). When the snapshot expires, this must
stay known: otherwise the same bytes would come in again. So the commit that removes snapshots names a file in the
table's property JOURNAL. The file has a line for each expired snapshot, as in Iceberg's own metadata, without the data:

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
from millrace.datasets import notes

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot

JOURNAL = "millrace.journal"
"""The property of a table with the URI of the file of its expired snapshots; absent before the first one expired."""
JOURNAL_FILE = "journal-"
"""How the name of such a file begins."""
ADDED, TOTAL = "added-records", "total-records"
"""Iceberg's own entries in a summary: the rows of the data files that the snapshot added, and of all its data files."""
FILES_KNOWN = 2
"""How many journal files a process keeps in memory: one for each table. One of 100,000 snapshots takes some 80 MB."""

Read = Callable[[str], bytes]
"""Reads the content of an object, by its URI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a snapshot says of itself."""

    snapshot_id: int
    place: int
    """The snapshot's sequence number: of two snapshots the later one has the greater number."""
    committed_ms: int
    """When it was committed, in milliseconds since 1970."""
    notes: Mapping[str, str]
    """The entries of its summary: Iceberg's own and those of `millrace.datasets.notes`."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        """The entry of a snapshot that the table still has."""
        return cls(
            snapshot_id=snapshot.snapshot_id,
            place=snapshot.sequence_number or 0,
            committed_ms=snapshot.timestamp_ms,
            notes=snapshot.summary.additional_properties if snapshot.summary is not None else {},
        )

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The entry of a JSON object, as a line of the file has it."""
        return cls(
            snapshot_id=document["snapshot-id"],
            place=document["sequence-number"],
            committed_ms=document["timestamp-ms"],
            notes=document["summary"],
        )

    def line(self) -> str:
        """The entry as a line of the file: our own notes and the numbers of rows."""
        kept = {name: text for name, text in self.notes.items() if name.startswith(("millrace.", ADDED, TOTAL))}
        document = {
            "snapshot-id": self.snapshot_id,
            "sequence-number": self.place,
            "timestamp-ms": self.committed_ms,
            "summary": kept,
        }
        return json.dumps(document, separators=(",", ":"))

    @property
    def digest(self) -> str | None:
        return self.notes.get(notes.DIGEST)

    @property
    def written_by(self) -> str:
        return self.notes.get(notes.WRITTEN_BY, "")

    @property
    def uri(self) -> str:
        """The object and its version that the rows came from; empty for a snapshot that no object made."""
        return self.notes.get(notes.ORIGIN, "")

    @property
    def key(self) -> str:
        """The landing key of that object."""
        return key_of_version(self.uri)

    @property
    def rows_added(self) -> int:
        """The number of rows that came; 0 for a snapshot that wrote data files anew, or the rest of them."""
        is_anew = {notes.COMPACTED, notes.REWRITTEN, notes.WITHDRAWN} & self.notes.keys()
        return 0 if is_anew else int(self.notes.get(ADDED) or 0)

    @property
    def rows_total(self) -> int:
        return int(self.notes.get(TOTAL) or 0)

    @property
    def rows_quarantined(self) -> int:
        return int(self.notes.get(notes.QUARANTINED) or 0)

    @property
    def rows_labelled(self) -> int:
        """How many of the rows that came have their label."""
        return self.rows_added - int(self.notes.get(notes.UNLABELLED) or 0)

    @property
    def labelled_before(self) -> int:
        """How many of the labels that came are of keys that had one already, so that they are no new labels."""
        return int(self.notes.get(notes.LABELLED_BEFORE) or 0)

    @property
    def unanswered(self) -> int:
        """How many of the labels that came were of no known decision, by the note of their batch."""
        return int(json.loads(self.notes.get(notes.LABELS) or "{}").get("unanswered", 0))

    @property
    def rows_replaced(self) -> int:
        """How many rows of an earlier version of the object left for these."""
        return int(self.notes.get(notes.REPLACED_ROWS) or 0)

    @property
    def rows_refused(self) -> int:
        """All refused rows: the quarantined ones, and the rows that could not be parsed."""
        return self.rows_quarantined + int(self.notes.get(notes.UNPARSABLE) or 0)

    @property
    def reasons(self) -> RowsByReason:
        """The quarantined rows, by reason."""
        return {Reason(name): rows for name, rows in json.loads(self.notes.get(notes.REASONS) or "{}").items()}

    @property
    def is_first(self) -> bool:
        """Whether the bytes were new, and not of an earlier version than the table's."""
        return notes.ALIAS not in self.notes and notes.SUPERSEDED not in self.notes

    @property
    def concerns(self) -> frozenset[str]:
        """The landing keys that the entry is about: its own, one whose rows it replaced, one that was withdrawn."""
        named = self.key, self.notes.get(notes.REPLACED, ""), self.notes.get(notes.WITHDRAWN_DROP, "")
        return frozenset(filter(None, named))


class Expired:
    """The entries of a file. A line is parsed only when it is needed: a drop needs two or three of 100,000 lines."""

    def __init__(self, lines: bytes = b"") -> None:
        """Each of the `lines` ends with a line break."""
        self._lines = lines

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The entries of a file's content. The file may be written in several parts, each compressed by itself."""
        return cls(gzip.decompress(content))

    def __iter__(self) -> Iterator[JournalEntry]:
        return (JournalEntry.parse(json.loads(line)) for line in io.BytesIO(self._lines))

    def newest(self) -> Iterator[JournalEntry]:
        """The entries, the last line first."""
        end = len(self._lines) - 1
        while end > 0:
            yield self._entry_at(end)
            end = self._lines.rfind(b"\n", 0, end)

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
        """The entry of the line in which this place is."""
        begin, end = self._lines.rfind(b"\n", 0, place) + 1, self._lines.index(b"\n", place)
        return JournalEntry.parse(json.loads(self._lines[begin:end]))


_DIGEST = re.compile(f'"{re.escape(notes.DIGEST)}":"([^"]*)'.encode())
_KEY = re.compile(
    rf'"(?:{re.escape(notes.ORIGIN)}":"s3://[^/"]*/((?:[^"\\]|\\.)*)|(?:{re.escape(notes.REPLACED)}|{re.escape(notes.WITHDRAWN_DROP)})":'
    r'"((?:[^"\\]|\\.)*))'.encode()
)
"""Finds the landing keys of a line: the part of an object's URI behind the bucket (group 1), or a replaced or withdrawn
landing key (group 2). Keys are as JSON writes them, with escapes."""


def _places(pattern: re.Pattern[bytes], lines: bytes) -> Mapping[bytes, list[int]]:
    """The places of each text that a group of the pattern finds in `lines`; a line has at most one place of a text."""
    found = defaultdict[bytes, list[int]](list)
    # One pass over the bytes, without parsing a line. A URI is kept as its key, without its version.
    for match in pattern.finditer(lines):
        first = match[1] or b""
        places = found[first.rpartition(b"?versionId=")[0] or first or match[match.lastindex or 0]]
        if not places or lines.find(b"\n", places[-1], match.start()) >= 0:
            places.append(match.start())
    return found


def _escaped(text: str) -> bytes:
    """The text as JSON writes it, without the quotes: as a line of the file has it."""
    return json.dumps(text)[1:-1].encode()


def render(entries: Iterable[JournalEntry]) -> bytes:
    """The entries as a compressed part of a file. Parts in a row make a file, since gzip files may be concatenated.

    Source: https://www.rfc-editor.org/rfc/rfc1952#section-2.2"""
    return gzip.compress("".join(f"{entry.line()}\n" for entry in entries).encode(), mtime=0)


class Journal:
    """All entries of a table: of expired snapshots and of those that it still has."""

    def __init__(self, expired: Expired, present: Iterable[JournalEntry]) -> None:
        self.expired, self.present = expired, tuple(present)

    @classmethod
    def of(cls, iceberg: IcebergTable) -> Self:
        """The journal of the table as it is in memory. The file of expired snapshots is read once in a process."""
        return cls.of_metadata(iceberg.metadata, partial(read_file, iceberg))

    @classmethod
    def of_metadata(cls, metadata: TableMetadata, read: Read) -> Self:
        """The journal of a table by its metadata."""
        return cls(read_expired(metadata.properties, read), map(JournalEntry.of, metadata.snapshots))

    def __iter__(self) -> Iterator[JournalEntry]:
        """The entries in the order of their commits."""
        return iter(_in_order([*self.expired, *self.present]))

    def newest(self) -> Iterator[JournalEntry]:
        """The entries, the newest first. Of the expired ones no more are parsed than are consumed."""
        yield from reversed(_in_order([*self.present]))
        yield from self.expired.newest()

    def with_digest(self, digest: str) -> list[JournalEntry]:
        """The entries of these bytes: snapshots that brought them, and snapshots that say why they brought no row."""
        recent = [entry for entry in self.present if entry.digest == digest]
        return _in_order([*self.expired.with_digest(digest), *recent])

    def about(self, key: str) -> list[JournalEntry]:
        """The entries that are about the object with this landing key."""
        return _in_order([*self.expired.about(key), *[entry for entry in self.present if key in entry.concerns]])

    def up_to(self, snapshot_id: int) -> list[JournalEntry]:
        """The entry of the snapshot and those before it."""
        entries = list(self)
        at = next(entry.place for entry in entries if entry.snapshot_id == snapshot_id)
        return [entry for entry in entries if entry.place <= at]


def _in_order(entries: list[JournalEntry]) -> list[JournalEntry]:
    # By their sequence numbers: a tagged snapshot may be older than snapshots that have expired.
    return sorted(entries, key=lambda entry: entry.place)


_KNOWN: dict[str, Expired] = {}
"""The entries of the journal files that this process has read, by URI."""


def read_file(iceberg: IcebergTable, uri: str) -> bytes:
    """The content of one of the table's own files."""
    with iceberg.io.new_input(uri).open() as stream:
        return bytes(stream.read())


def read_expired(properties: Mapping[str, str], read: Read) -> Expired:
    """The entries of the file that the table's properties name; none if they name no file.

    A journal file is never altered, so it is kept in memory: a later file takes its place."""
    uri = properties.get(JOURNAL)
    if uri is None:
        return Expired()
    if uri not in _KNOWN:
        while len(_KNOWN) >= FILES_KNOWN:
            _KNOWN.pop(next(iter(_KNOWN)))  # the one that was read first
        _KNOWN[uri] = Expired.parse(read(uri))
    return _KNOWN[uri]
