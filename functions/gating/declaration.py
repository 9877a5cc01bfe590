"""How the function `gating` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="training",
    role="training",
    rights=lambda _: [
        Grant("buckets.ARTEFACTS.read", "runs"),
        Grant("state_table.own_items", may="GetItem"),
        Grant("state_table.append_audit"),
        Grant("state_table.read_audit"),
    ],
)
