"""A consumer of each kind as workload.yaml declares it, and the workload electricity with all of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ELECTRICITY = Path(__file__).resolve().parents[1] / "workloads" / "electricity"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/5e6d2f80-5b6a-4f0e-8a5c-2f7f9d3f1c11"
DECLARED: Mapping[str, dict[str, Any]] = {
    "queue": {"queue": "order-decisions", "key_arn": KEY, "actions": ["automated", "review"]},
    "event": {"bus": "orders"},
    "mail": {"topic": "loans", "actions": ["review"]},
    "table": {"table": "decision-lookup"},
    "postgres": {
        "host": "db.example.com",
        "database": "loans",
        "secret": "ledger/writer",  # pragma: allowlist secret
        "table": "public.decisions",
        "columns": {"id": "id", "value": "answer.value", "decided_at": "decided_at"},
    },
    "workload": {"workload": "intents", "row": {"id": "id", "text": {"constant": "what is dear now"}}},
    "webhook": {"url": "https://crm.example.com/decisions?of=mill", "secret": "crm/signing"},
}
"""By kind, its keys."""
HTTP, TABLE = (
    {"url": "https://shop.example.com/", "secret": "shop"},
    {"host": "db.example.com", "database": "d", "secret": "s", "table": "t"},
)
"""An API and a database from which rows come."""


def with_consumers(folder: Path, consumers: Mapping[str, Any] | None = None) -> Path:
    """A copy of the workload electricity below `folder` with these consumers, or with one of each kind.

    The one of the kind `queue` is called `queue`."""
    own = folder / ELECTRICITY.name
    shutil.copytree(ELECTRICITY, own, ignore=shutil.ignore_patterns("sample"))
    each = consumers or {kind: {"to": kind, **keys} for kind, keys in DECLARED.items()}
    path = own / "workload.yaml"
    path.write_text(f"{path.read_text()}\n{yaml.safe_dump({'consumers': dict(each)})}")
    return own
