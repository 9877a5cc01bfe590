"""Make a deleted stage whole again: its tables in the catalogue, its model versions, and the live endpoint.

The buckets hold the tables' files and the versions, the state table which version is live; if that is lost, the audit
tells it. `make adopt` has brought both tables back, the deployment all that the templates have."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millrace.aws.endpoints import find_model
from millrace.aws.errors import passed_over
from millrace.aws.objects import entries_below, is_gone, keys_below, read_object, split_uri
from millrace.console.actions.approve import roll_back
from millrace.console.actions.withdraw import by_person, erase
from millrace.console.environment import Environment
from millrace.console.queries.live import LivePeriod, live_periods, lost_endpoint
from millrace.console.queries.stored import iceberg_table, table_of
from millrace.console.queries.versions import audit_of, registry_of, state_of
from millrace.console.words import count
from millrace.datasets.expiry import reachable
from millrace.errors import ConflictError
from millrace.messages.audit import AuditEvent, RowsErased, VersionDecided, VersionLive
from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.withdrawal import MOST_CELLS, ErasureRequest
from millrace.names import TABLES, WorkloadNames
from millrace.release.card import CARD_FILE, create_card
from millrace.release.registry import PACKAGE_FILE, KeptVersion, Package, last_registered
from millrace.state.audit import Record
from millrace.state.item import NEW
from millrace.state.own_secrets import PSEUDONYM
from millrace.state.pointers import Pointers, Version
from millrace.timestamps import format_utc
from millrace.workload.load import load_workload, workloads_folder

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable

METADATA = ".metadata.json"
REASON = "the stage was deleted"
BROUGHT_BACK = "erased since the backup that came back"
PAUSES_S = (5, 10, 20, 40)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What a workload lacks, as the buckets and the state table have it."""

    names: WorkloadNames
    tables: Mapping[str, IcebergTable]
    """By table, as its newest whole metadata says."""
    versions: Sequence[KeptVersion]
    """By their numbers."""
    pointers: Pointers | None
    """As the audit tells them; None if the state table has them, or if no version was ever live."""
    live: str
    """The live version, if nothing serves it; empty if something does or none is live."""
    erased: int | None = 0
    """The people who were erased since the backup, and came back with it; None without the secret that tells who."""

    @property
    def rows(self) -> Iterator[dict[str, str]]:
        """A row for each thing, for people."""
        workload = self.names.workload
        for table, found in self.tables.items():
            at = datetime.fromtimestamp(found.metadata.last_updated_ms / 1000, UTC)
            yield {"workload": workload, "what": f"table {self.names.table(table)}", "of": format_utc(at)}
        for version in self.versions:
            yield {"workload": workload, "what": f"version {version.version}", "of": version.registered_at}
        if self.pointers:
            yield {"workload": workload, "what": "release pointers", "of": f"revision {self.pointers.revision}"}
        if self.live:
            yield {"workload": workload, "what": f"release of version {self.live}", "of": ""}
        if self.erased != 0:
            people = count(self.erased, "person") if self.erased else "people whom you erase by --key"
            yield {"workload": workload, "what": f"erasure of {people}", "of": BROUGHT_BACK}


def find_missing(environment: Environment, names: WorkloadNames, backup_of: datetime | None) -> Missing:
    """What the workload lacks, and who is to be erased again of a backup of this time.

    Raises ConflictError if something else stands in its place, which it names, or if nobody can tell which of two files
    has the newest state of a table."""
    tables = {table: found for table in TABLES if (found := lost_table(environment, names, table))}
    s3, artefacts = environment.client("s3"), names.platform.bucket("artefacts")
    keys = [key for key in keys_below(s3, artefacts, f"{names.workload}/runs/") if key.endswith(f"/{PACKAGE_FILE}")]
    kept = last_registered(KeptVersion(**json.loads(read_object(s3, f"s3://{artefacts}/{key}"))) for key in keys)
    standing = {one.version: one for one in registry_of(environment, names).all()}
    for one in kept:
        if (other := standing.get(one.version)) and other.metadata.get("run") != one.run:
            came = f"that of {other.metadata.get('run')}"
            raise ConflictError(f"{other.arn}: expected the version of run {one.run} or none, {came} stands there")
    pointers = Pointers.find(state_of(environment, names))
    told = None if pointers else told_pointers(names, audit_of(environment, names), kept)
    champion = (pointers or told or Pointers()).champion
    return Missing(
        names=names,
        tables=tables,
        versions=[one for one in kept if one.version not in standing],
        pointers=told,
        live=champion.version if champion and not _stands(environment, names, champion) else "",
        erased=erase_again(environment, names, backup_of, is_preview=True),
    )


def _stands(environment: Environment, names: WorkloadNames, champion: Version) -> bool:
    """Whether the live version has its endpoint, or without one the model by which files are scored."""
    if load_workload(workloads_folder() / names.workload).rollout.has_no_endpoint:
        return find_model(environment.client("sagemaker"), champion.model_name) is not None
    return not lost_endpoint(environment, names)


def told_pointers(names: WorkloadNames, records: Iterable[Record], kept: Iterable[KeptVersion]) -> Pointers | None:
    """The release pointers as the audit tells them, of the versions that are kept; None if none was ever live.

    Their revision is the audit's highest."""
    versions, moves = {one.version: one for one in kept}, live_periods(records)
    if not moves:
        return None
    lives = [
        _version(names, version, moved)
        for moved in moves
        # A number that the registry gave anew, after a teardown, is not the version that was live before.
        if (version := versions.get(moved.version)) and version.registered_at <= format_utc(moved.since)
    ]
    champion = lives[-1] if lives and not moves[-1].until else None
    return Pointers(
        champion=champion,
        previous=next((one for one in reversed(lives) if champion and one.version != champion.version), None),
        highest=max((int(one.version) for one in lives if champion), default=0),
        revision=max(one.revision for one in moves),
    )


def _version(names: WorkloadNames, kept: KeptVersion, moved: LivePeriod) -> Version:
    """The version as it was live then, but for what the naive rule answers: its next release writes that."""
    signed = ("model_digest", "baseline_digest", "promised_error", "automate_from", "costs_digest")
    return Version(
        package_arn=names.package_arn(kept.version),
        version=kept.version,
        model_name=moved.endpoint_config.rpartition("-")[0],  # `…-v2-1f0e4a-0-0` of `…-v2-1f0e4a-0-0-live`
        run=kept.run,
        baseline_uri=names.run_uri(kept.run, BASELINE_FILE),
        model_data_url=kept.model_data_url,
        **{name: kept.metadata.get(name, "") for name in signed},
    )


def lost_table(environment: Environment, names: WorkloadNames, table: str) -> IcebergTable | None:
    """The table as its newest whole metadata says, if the catalogue does not have it; None if it was never made.

    A commit writes its data, then its manifests, then the next metadata, and the catalogue decides last. A commit that
    lost has deleted its manifests, so its metadata is not whole: it is passed over. One that was killed before the
    catalogue decided is whole; it is what its drop would have written again. A table that was made anew, after a
    teardown, counts from 0 again: then the files that were written last are its own.

        00007-a.metadata.json    whole
        00008-b.metadata.json    whole: the newest
        00008-c.metadata.json    names a manifest that is gone: lost against b
    """
    s3, name = environment.client("s3"), names.table(table)
    bucket, folder = split_uri(names.lake_uri("iceberg", name, ""))
    entries = {f"s3://{bucket}/{one['Key']}": one["LastModified"] for one in entries_below(s3, bucket, folder)}
    metadata = [uri for uri in entries if uri.endswith(METADATA)]
    newest = sorted(metadata, key=lambda uri: (entries[uri], _number(uri)), reverse=True)
    if newest and (standing := iceberg_table(environment, names, table)):
        if standing.metadata.table_uuid != table_of(s3, name, newest[0]).metadata.table_uuid:
            expected = f"{name}: expected no table in the catalogue, or that of {newest[0]}"
            raise ConflictError(f"{expected}, a new one stands there: delete it in Glue, and drop its files again")
        return None
    found = next((one for uri in newest if _is_whole(one := table_of(s3, name, uri), entries)), None)
    if found is None:
        return None
    later = [table_of(s3, name, uri) for uri in metadata if _number(uri) >= _number(found.metadata_location)]
    own = [one for one in later if one.metadata.table_uuid == found.metadata.table_uuid and _is_whole(one, entries)]
    number = max(_number(one.metadata_location) for one in own)
    last = [one for one in own if _number(one.metadata_location) == number]
    if len(last) > 1:
        named = " and ".join(one.metadata_location for one in last)
        raise ConflictError(f"{name}: expected one newest state, got {named}: delete the one that lost")
    return last[0]


def _number(uri: str) -> int:
    """The number of a file of metadata: 8 for `…/00008-b.metadata.json`."""
    return int(uri.rpartition("/")[2].partition("-")[0])


def _is_whole(table: IcebergTable, entries: Container[str]) -> bool:
    """Whether all that the table's metadata names is among these files."""
    with passed_over(is_gone):
        return all(one in entries for one in reachable(table, datetime.now(UTC)) if not one.endswith(METADATA))
    return False


def restore(environment: Environment, missing: Missing, at: datetime | None, *, said: Callable[[str], None]) -> str:
    """Restore what is missing, and start the release that makes the live endpoint: its ARN, "" without one.

    `at` is the time of the backup that came back.

    A second call goes on where the first one ended."""
    from pyiceberg.catalog.glue import _construct_table_input

    names = missing.names
    for found in missing.tables.values():
        entry = _construct_table_input(found.name()[-1], found.metadata_location, {}, found.metadata)
        environment.client("glue").create_table(DatabaseName=names.platform.database, TableInput=entry)
        said(f"{found.name()[-1]}: registered {found.metadata_location}")
    registry, records = registry_of(environment, names), audit_of(environment, names)
    for version in missing.versions:
        package = registry.restore(replace(version, image=_image(environment, names, version.image)))
        _restore_card(environment, names, version)
        said(f"{names.workload}: version {version.version} {_settle(environment, names, package, version, records)}")
    if missing.pointers:
        state_of(environment, names).put(Pointers.sort_key(), missing.pointers.attributes, NEW)
        said(f"{names.workload}: release pointers of revision {missing.pointers.revision}, as the audit tells them")
    if missing.erased:
        said(f"{names.workload}: people erased again: {erase_again(environment, names, at, is_preview=False)}")
    return _restore_live(environment, names) if missing.live else ""


def _restore_live(environment: Environment, names: WorkloadNames) -> str:
    """The ARN of the release. Raises ConflictError if another one goes on for longer than all PAUSES_S.

    Where a person approves versions, each that was live starts a release as it comes back, which ends at once."""
    for pause_s in PAUSES_S:
        with suppress(ConflictError):
            return roll_back(environment, names, reason=REASON, restores=True).execution
        time.sleep(pause_s)
    return roll_back(environment, names, reason=REASON, restores=True).execution


def _image(environment: Environment, names: WorkloadNames, image: str) -> str:
    """The image of the version, if its repository still has it; else the one that `make images` has built since.

    The release asks the version as it was evaluated before anybody else does, so another answer would show."""
    repository, _, digest = image.rpartition("/")[2].partition("@")
    ecr = environment.client("ecr")
    try:
        if digest:
            ecr.describe_images(repositoryName=repository, imageIds=[{"imageDigest": digest}])
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        function = environment.client("lambda").get_function_configuration(FunctionName=names.function("registration"))
        return str(function["Environment"]["Variables"]["MILLRACE_INFERENCE_IMAGE"])
    return image


def _settle(
    environment: Environment, names: WorkloadNames, package: Package, version: KeptVersion, records: Sequence[Record]
) -> str:
    """Tell the registry what the audit says of the version, in words: `live`, `refused`, or that it waits again.

    An approval of a version that was not live yet is not repeated: the registry would take it for the caller's."""
    registry = registry_of(environment, names)
    since = [one for one in records if format_utc(one.as_of) >= version.registered_at]
    live = [one for one in since if isinstance(one.details, VersionLive) and one.details.version == version.version]
    if live:
        registry.mark_live(package, execution=live[0].execution_arn)
        return f"was live since {format_utc(live[0].as_of)}"
    decided = [
        (one.event, one.details)
        for one in since
        if isinstance(one.details, VersionDecided) and one.details.version == version.version
    ]
    if decided and decided[-1][0] is AuditEvent.RELEASE_REFUSED:
        said = decided[-1][1]
        registry.refuse(package, reason=f"{said.by}: {said.reason}")
        return f"was refused by {said.by}"
    return "was never live: who approves it does so again"


def _restore_card(environment: Environment, names: WorkloadNames, version: KeptVersion) -> None:
    """Make the card of the version in SageMaker again, unless it is there."""
    if not (name := version.metadata.get("card")):
        return
    sagemaker, key = environment.client("sagemaker"), names.platform.parameter("key-arn")
    content = read_object(environment.client("s3"), names.run_uri(version.run, CARD_FILE)).decode()
    key_arn = environment.client("ssm").get_parameter(Name=key)["Parameter"]["Value"]
    create_card(sagemaker, name, content, key_arn=key_arn, tags=names.tag_list("training"))


def deleted_at(environment: Environment) -> datetime | None:
    """When the state table was deleted whose backup this one is; None if it never was."""
    dynamodb: Any = environment.client("dynamodb")
    told = dynamodb.describe_table(TableName=environment.platform.state_table)["Table"].get("RestoreSummary")
    if told is None:
        return None
    backup = dynamodb.describe_backup(BackupArn=told["SourceBackupArn"])["BackupDescription"]
    at: datetime = backup["BackupDetails"]["BackupCreationDateTime"]
    return at


def erased_since(environment: Environment, names: WorkloadNames, at: datetime | None) -> Mapping[str, Sequence[str]]:
    """The pseudonyms of who was erased since this time, by column of the key: a backup of it may have them."""
    told = defaultdict[str, list[str]](list)
    for record in audit_of(environment, names):
        # An erasure may have been under way: its record has the time of the request, and items of state go last.
        if at and record.as_of > at - timedelta(days=1) and isinstance(record.details, RowsErased):
            told[record.details.column] += record.details.pseudonyms
    return told


def erase_again(environment: Environment, names: WorkloadNames, at: datetime | None, *, is_preview: bool) -> int | None:
    """How many of those who were erased since this time came back with a backup. But for a preview, they are erased.

    None where nobody can tell, since the state came back without the secret of their pseudonyms."""
    people, told = 0, erased_since(environment, names, at)
    if told and not state_of(environment, names).get(PSEUDONYM):
        return None
    for column, pseudonyms in told.items():
        for first in range(0, len(pseudonyms), MOST_CELLS):
            some = tuple(pseudonyms[first : first + MOST_CELLS])
            by = by_person(environment, "replay", BROUGHT_BACK)
            request = ErasureRequest(**by, column=column, pseudonyms=some, is_preview=is_preview)
            people += len(erase(environment, names, request).pseudonyms)
    return people
