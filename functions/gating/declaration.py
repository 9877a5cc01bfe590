"""How the function `gating` is deployed."""

from millrace.settings.declaration import Declared, Right

DECLARED = Declared(
    room="training",
    role="training",
    description="The evaluation report against the workload's gates",
    rights=lambda _: [
        Right("buckets.ARTEFACTS.read", "runs"),
        Right("state_table.own_items", may="GetItem"),
        Right("state_table.append_audit"),
        Right("state_table.read_audit"),
    ],
)
