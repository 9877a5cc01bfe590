"""How the function `budget` is deployed."""

from millrace.settings.declaration import Declared, Grant

DECLARED = Declared(
    room="training",
    role="training",
    rights=lambda _: [Grant("state_table.own_items", may="GetItem PutItem UpdateItem")],
)
