"""How the function `smoke_test` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="release",
    role="release",
    timeout_s=90,
    rights=lambda _: [
        Grant("buckets.ARTEFACTS.read", "runs"),
        Grant("sagemaker_endpoints.challenger", may="InvokeEndpoint"),
    ],
)
