"""How the function `tracking` is deployed."""

from millrace.settings.declaration import Declared, Grant
from millrace.settings.training import TrackingSettings

DECLARED = Declared(
    room="training",
    role="training",
    settings=TrackingSettings,
    keeps_events=True,
    timeout_s=120,
    memory_mb=1024,
    rights=lambda _: [
        Grant("buckets.ARTEFACTS.read", "runs"),
    ],
)
