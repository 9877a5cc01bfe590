"""Keeps the documents of a climb in the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from millrace.aws.objects import at_once, keys_below, read_object
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb, TwoAnswers
from millrace.names import WorkloadNames
from millrace.timestamps import format_utc


class ClimbStore:
    """The documents of one phase of a release. `s3` is boto3's client."""

    def __init__(self, s3: Any, names: WorkloadNames, *, version: str, run: str, phase: str) -> None:
        self._s3, self._bucket = s3, names.platform.bucket("lake")
        self._under = f"{names.workload}/{FOLDER}/{version}/{run}/{phase}/"
        self.is_new = True
        """Whether `read` has found no climb."""

    def read(self) -> tuple[Climb | None, list[TwoAnswers]]:
        """The climb as the last look has left it, None before the first; and all pairs, each once."""
        # Listed first: for an object that does not exist, S3 asks for a right to list the whole bucket.
        keys = list(keys_below(self._s3, self._bucket, self._under))
        found: dict[str, TwoAnswers] = {}

        def read(key: str) -> None:
            for line in read_object(self._s3, f"s3://{self._bucket}/{key}").splitlines():
                pair = TwoAnswers.model_validate_json(line)
                found[pair.id] = pair

        at_once(read, [key for key in keys if key.endswith(".jsonl")])
        if (key := f"{self._under}{CLIMB_FILE}") not in keys:
            return None, list(found.values())
        self.is_new = False
        climb = Climb.model_validate_json(read_object(self._s3, f"s3://{self._bucket}/{key}"))
        return climb, list(found.values())

    def write(self, climb: Climb) -> None:
        self._put(CLIMB_FILE, climb.model_dump_json())

    def add(self, pairs: Sequence[TwoAnswers], *, at: datetime) -> None:
        """Keep the pairs of one look."""
        if pairs:
            # Named by what it holds too: a look that is repeated copies others.
            ids = hashlib.sha256(" ".join(one.id for one in pairs).encode()).hexdigest()[:8]
            self._put(f"answered-{format_utc(at)}-{ids}.jsonl", "".join(f"{one.model_dump_json()}\n" for one in pairs))

    def _put(self, name: str, body: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._under}{name}", Body=body.encode())
