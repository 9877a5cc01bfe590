"""How the function `pull` is deployed."""

from millrace.settings.declaration import Declared, Grant
from millrace.settings.release import PullSettings

DECLARED = Declared(
    room="training",
    settings=PullSettings,
    timeout_s=300,
    memory_mb=1024,
    rights=lambda _: [Grant("buckets.ARTEFACTS.write", "runs")],
)
