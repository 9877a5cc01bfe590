"""How the function `smoke_test` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="release",
    role="release",
    description="Real rows to the challenger, the answers as evaluated",
    timeout_s=90,
    rights=lambda _: [
        Right("buckets.ARTEFACTS.read", "runs"),
        Right("sagemaker_endpoints.challenger", may="InvokeEndpoint"),
    ],
)
