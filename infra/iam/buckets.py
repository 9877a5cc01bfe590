"""Rights on the platform's buckets: a role only reaches folders of its own workload, `<workload>/<folder>/…`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millrace.infra.iam.resource import Resource, Statement, resource
from millrace.names import GIVEN_UP, Platform, WorkloadNames


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One of the buckets and the folders in it."""

    purpose: str
    folders: Mapping[str, str]
    """For each folder below `<workload>/`, the reason why its ARN needs a wildcard."""

    def read(self, names: WorkloadNames, *folders: str) -> Statement:
        """Get the newest version of objects below the folders."""
        return self.below(names, *folders).may("GetObject")

    def read_versions(self, names: WorkloadNames, *folders: str) -> Statement:
        """Get any version of objects below the folders, by its id."""
        return self.below(names, *folders).may("GetObjectVersion")

    def write(self, names: WorkloadNames, *folders: str) -> Statement:
        """Put objects below the folders. The bucket's lifecycle removes the parts of unfinished uploads."""
        return self.below(names, *folders).may("PutObject")

    def find(self, names: WorkloadNames, *folders: str) -> Statement:
        """List the objects below the folders."""
        return self._listed(names, folders).may("ListBucket")

    def look_at(self, names: WorkloadNames, *folders: str) -> list[Statement]:
        """List and get every version of the objects below the folders."""
        return [self._listed(names, folders).may("ListBucketVersions"), self.read_versions(names, *folders)]

    def erase(self, names: WorkloadNames, *folders: str) -> list[Statement]:
        """Look at every version of the objects below the folders, and delete each for good."""
        return [*self.look_at(names, *folders), self.below(names, *folders).may("DeleteObject", "DeleteObjectVersion")]

    def below(self, names: WorkloadNames, *folders: str) -> Resource:
        """Everything below the folders. Raises ValueError for a folder that `folders` does not explain."""
        self._check(folders)
        reasons = {self.arn(names, f"{folder}/*"): self.folders[folder.split("/")[0]] for folder in folders}
        return Resource(service="s3", reasons=reasons)

    def arn(self, names: WorkloadNames, path: str) -> str:
        """The ARN of `<workload>/<path>`."""
        return f"{names.platform.bucket_arn(self.purpose)}/{names.workload}/{path}"

    def _listed(self, names: WorkloadNames, folders: Sequence[str]) -> Resource:
        self._check(folders)
        prefixes = {"StringLike": {"s3:prefix": [f"{names.workload}/{folder}/*" for folder in folders]}}
        return resource("s3", names.platform.bucket_arn(self.purpose), where=prefixes)

    def _check(self, folders: Sequence[str]) -> None:
        if unknown := sorted({folder.split("/")[0] for folder in folders} - self.folders.keys()):
            raise ValueError(f"bucket {self.purpose}: expected folders of {sorted(self.folders)}, got {unknown}")


def one_object(names: WorkloadNames, uri: str) -> list[Statement]:
    """Find and get the object with this URI, in any bucket, and no other object."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    where = {"StringEquals": {"s3:prefix": [key]}}
    return [
        resource("s3", names.platform.arn("s3", f"{bucket}/{key}")).may("GetObject"),
        resource("s3", names.platform.arn("s3", bucket), where=where).may("ListBucket"),
    ]


ABSORBED = "decisions/date=*/_*.absorbed"
"""The references to files of absorbed lines. Whoever lists the decisions of a day has to read which lines they name."""


def absorb_decisions(names: WorkloadNames) -> list[Statement]:
    """Read decisions, write files of absorbed lines with their references, and delete lines."""
    day = "Decisions lie below the date of their event"
    written = [LAKE.arn(names, path) for path in ("decisions/absorbed/*", ABSORBED)]
    return [
        LAKE.find(names, "decisions"),
        LAKE.read(names, "decisions"),
        resource("s3", *written, because=day).may("PutObject"),
        resource("s3", LAKE.arn(names, "decisions/date=*/*.jsonl"), because=day).may("DeleteObject"),
    ]


def read_absorbed(names: WorkloadNames) -> Statement:
    """Read which lines of decisions were absorbed."""
    named = "Absorbed lines are named in the folder of any day"
    return resource("s3", LAKE.arn(names, ABSORBED), because=named).may("GetObject")


def file_of_each_run(names: WorkloadNames, file: str) -> Resource:
    one_file = "One file in the folder of each run, which is named by its execution"
    return resource("s3", ARTEFACTS.arn(names, f"runs/*/{file}"), because=one_file)


def audit_links(
    platform: Platform, path: str, because: str = "The links of a chain are named by their numbers"
) -> Resource:
    """The links of audit chains below the path in the audit's bucket."""
    return resource("s3", f"{platform.bucket_arn('audit')}/{path}", because=because)


def audit_chains(platform: Platform) -> list[Statement]:
    """Find, read and add links of every workload's audit chain. The bucket's policy lets nobody put a link twice."""
    below = "The chain of each workload lies below its name; the function serves all workloads"
    links = audit_links(platform, "*", below)
    listed = resource("s3", platform.bucket_arn("audit"))
    return [links.may("GetObjectVersion", "PutObject"), listed.may("ListBucketVersions")]


def keep_given_up(platform: Platform) -> list[Statement]:
    """Let Lambda keep the records of a stream that the function gave up. It lists with a prefix that nobody knows.

    https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html"""
    landing = platform.bucket_arn("landing")
    because = "Lambda names them by the mapping, which is made after the role"
    return [
        resource("s3", f"{landing}/{GIVEN_UP}/*", because=because).may("PutObject"),
        resource("s3", landing).may("ListBucket"),
    ]


def find_audit_chain(names: WorkloadNames) -> Statement:
    """List the links of one workload's audit chain."""
    own = {"StringEquals": {"s3:prefix": [f"{names.workload}/"]}}
    return resource("s3", names.platform.bucket_arn("audit"), where=own).may("ListBucketVersions")


LANDING = Bucket(
    purpose="landing",
    folders={
        "training": "Who drops a file names it; the feed's folder is all that is known before",
        "labels": "Labels come late in files that their sender names; the feed's folder is all that is known before",
        "scoring": "A file to score is named by who asks; the feed's folder is all that is known before",
        "objects": "A manifest names the objects of its images; the folder is all that is known before",
        "erased": "What an erasure has left of a dropped file is named as the file was",
    },
)
LAKE = Bucket(
    purpose="lake",
    folders={
        "staging": "What one run hands to its next step lies below the execution's name, which is new each time",
        "iceberg": "pyiceberg names the files of a table by a UUID, anew at every commit",
        "quarantine": "Refused rows lie below the date of the drop that held them",
        "decisions": "Decisions lie below the date of their event, in objects named by a digest or by a drop's id",
        "captured": "The image of a prediction is named by the digest of its bytes",
        "climbs": "What is known of a version on a phase lies below its number, the execution and the phase",
        "predictions": "A delivery lies below the run that made it",
        "windows": "What a monitor run judges lies below the execution's name, which is new each time",
        "monitor": "The report of a monitor run lies below the execution's name, which is new each time",
    },
)
ARTEFACTS = Bucket(
    purpose="artefacts",
    folders={
        "runs": "Data, model and report of a training lie below the execution's name, which is new each time",
        "checkpoints": "Checkpoints of a training lie below the execution's name, which is new each time",
        "external": "An external model lies below the digest of its files",
    },
)
