"""`python -m localcloud.ledger ASSEMBLY...`: write the parity ledger of synthesized apps."""

from __future__ import annotations

from localcloud.ledger.ledger import main

main()
