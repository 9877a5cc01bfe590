"""How the function `smoke_test` is deployed."""

from millrace.settings.declaration import Declared, Grant, asks_challenger

DECLARED = Declared(
    room="release",
    role="release",
    timeout_s=90,
    rights=lambda given: [Grant("buckets.ARTEFACTS.read", "runs"), asks_challenger(given)],
)
