"""The files that mend refused rows of other drops: which of these rows are in a table now, and by which line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from millrace.aws.objects import key_of_version
from millrace.console.environment import Environment
from millrace.console.files.catalogue import first_lines
from millrace.console.queries.data_versions import find_table_versions
from millrace.console.queries.drops import Row, find_rows
from millrace.console.queries.stored import as_file, head_object, object_of
from millrace.contract.schema import Contract, Feed
from millrace.names import WorkloadNames

Place = tuple[str, int | None]
"""A drop's id, and a line of it."""


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """Of all repairs of a workload."""

    firsts: Mapping[str, str]
    """By the id of each repair: the id of the drop whose rows it mends. That is never a repair itself."""
    origins: Mapping[Place, Place]
    """By the place of each row of a repair: where it was refused first."""
    mended: Mapping[Place, tuple[str, int]]
    """By the place where a row was refused first: the landing key and the line that brought it into its table."""

    def told(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The refused rows, each with what has repaired it."""
        for row in rows:
            at = self.origins.get((row.run, row.line), (row.run, row.line))
            yield replace(row, repaired="{}:{}".format(*self.mended[at])) if at in self.mended else row


def find_repairs(environment: Environment, names: WorkloadNames, contract: Contract) -> Repairs:
    """The repairs by the journals of the tables. Each file is read: it says of each row which one it mends.

    `contract` is for files that mend rows. The rows of a file that the landing bucket no longer has are not known."""
    s3, origins, mended = environment.client("s3"), dict[Place, Place](), dict[Place, tuple[str, int]]()
    versions = find_table_versions(environment, names, has_learners=False).values()
    found = [version for version in versions if version.repairs]
    ids = {version.cause for version in found}
    refused = {(row.run, row.line) for row in (find_rows(environment, names, runs=ids) if ids else ())}
    for version in found:
        if head_object(s3, version.source) is None:
            continue
        content, key = s3.get_object(**object_of(version.source))["Body"].read(), key_of_version(version.source)
        with as_file(content, "dropped") as path:
            lines = first_lines(path, contract.table(cast("Feed", key.split("/")[1])))
        for own, line in lines.items():
            origins[version.cause, own] = first = (version.repairs, line)
            if version.added and not version.left_with and (version.cause, own) not in refused:
                mended[first] = (key, own)
    return Repairs(firsts={version.cause: version.repairs for version in found}, origins=origins, mended=mended)
