"""How the function `sources` is deployed. Each source has a schedule of its own, which the stack makes."""

from collections.abc import Iterator

from millrace.settings.declaration import Declared, Deployment, Grant


def rights(given: Deployment) -> Iterator[Grant]:
    """The drops of its own folders, the cursors, and the secret of each source."""
    platform = given.names.platform
    for name, source in given.workload.sources_of(platform.stage).items():
        yield Grant("buckets.LANDING.below", f"{source.feed}/{name}", may="GetObject PutObject")
        if secret := source.kind.secret:
            yield Grant("resource.resource", "secretsmanager", platform.secret_arn(secret), may="GetSecretValue")
        if source.key_arn:
            yield Grant("resource.resource", "kms", source.key_arn, may="Decrypt")
    yield Grant("state_table.own_items", may="GetItem PutItem")


DECLARED = Declared(
    room="ingestion",
    keeps_events=True,
    timeout_s=900,
    memory_mb=1024,
    is_needed=lambda given: bool(given.workload.sources_of(given.names.platform.stage)),
    rights=rights,
)
