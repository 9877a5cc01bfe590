"""`python -m infra.local.ledger ASSEMBLY...`: write the parity ledger of synthesized apps."""

from __future__ import annotations

from infra.local.ledger.ledger import main

main()
