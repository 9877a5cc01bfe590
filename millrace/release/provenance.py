"""The provenance of a version, SLSA v1 in an in-toto statement: what made the archive, of what, when and why.

It is signed as `millrace.artefact.signing` says, by the same key. https://slsa.dev/spec/v1.2/build-provenance
"""

from __future__ import annotations

import json

from millrace.artefact.artefact import ARCHIVE
from millrace.artefact.signing import STATEMENT_TYPE
from millrace.release.card import Records
from millrace.timestamps import format_utc

PROVENANCE_FILE = "provenance.sig"
"""Its name in the folder of the run."""
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:millrace:train:v1"


def provenance_of(records: Records, *, builder: str) -> bytes:
    """The statement as JSON; `builder` is the ARN of the machine that trains. The same records make the same bytes."""
    run, digests = records.run, records.digests
    names = {"rows": "data", "contract.yaml": "contract", "workload.yaml": "config", "training image": "code"}
    dependencies = [{"name": name, "digest": {"sha256": digests[f"{link}_digest"]}} for name, link in names.items()]
    dependencies[0]["uri"] = records.manifest_uri
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"workload": records.workload.name, "reason": run.reason, "pulled": run.pulled},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {
            "builder": {"id": builder},
            "metadata": {"invocationId": run.run, "startedOn": format_utc(run.as_of)},
        },
    }
    subject = {"name": ARCHIVE, "digest": {"sha256": digests["artefact_digest"]}}
    document = {"_type": STATEMENT_TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": predicate}
    return json.dumps(document).encode()
