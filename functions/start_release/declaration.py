"""How the function `start_release` is deployed."""

from millrace.settings.declaration import Declared, Grant
from millrace.settings.release import ReleaseSettings

DECLARED = Declared(
    room="release",
    role="release",
    settings=ReleaseSettings,
    rights=lambda _: [
        Grant("state_table.own_items", may="Query GetItem PutItem DeleteItem"),
        Grant("state_table.append_audit"),
        # Update: a version whose approval does not count waits again.
        Grant("registry.versions", may="DescribeModelPackage UpdateModelPackage"),
        Grant("buckets.ARTEFACTS.read", "runs"),
        Grant("buckets.ARTEFACTS.find", "runs"),
        Grant("key.verify"),
        Grant("sagemaker_endpoints.both", may="DescribeEndpoint DeleteEndpoint"),
        Grant("sagemaker_endpoints.configs", may="DescribeEndpointConfig"),
        Grant("sagemaker_endpoints.models", may="DescribeModel"),
    ],
)
