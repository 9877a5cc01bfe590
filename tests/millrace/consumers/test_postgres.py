"""A table of a real PostgreSQL: a row for each id, however often a decision comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from millrace.consumers.postgres import Postgres
from millrace.decisions.portion import document
from millrace.errors import ConsumerError, DocumentsRefusedError
from millrace.names import Platform
from tests.millrace.decisions.test_record import DECISION
from tests.postgres import asked, running

PLATFORM = Platform(stage="local", account="123456789012", region="eu-west-1")
DOCUMENTS = [document(DECISION) | {"id": f"r-{number}"} for number in range(100)]


class Secrets:
    def get_secret_value(self, *, SecretId: str) -> dict[str, str]:
        return {"SecretString": json.dumps({"username": "postgres", "password": "trusted"})}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """The consumer of a table that is there."""
    with running() as port:
        yield Postgres(
            to="postgres",
            host="127.0.0.1",
            port=port,
            database="postgres",
            secret="ledger/writer",  # pragma: allowlist secret
            table="public.decisions",
            columns={"id": "id", "happened": "key.timestamp", "score": "answer.confidence", "said": "answer",
                     "decided_at": "decided_at", "none": "key.none"},
            stages=("local",),
        )  # fmt: skip


@pytest.fixture
def table(server: Postgres) -> None:
    """The table of the consumer, empty."""
    asked(server.port, "DROP TABLE IF EXISTS decisions")
    asked(server.port, "CREATE TABLE decisions (id text PRIMARY KEY, happened timestamp, score double precision, "
                 "said jsonb, decided_at timestamptz, none text)")  # fmt: skip


def test_an_older_decision_that_comes_again_replaces_nothing(server: Postgres, table: None) -> None:
    act = server.connect(lambda _: Secrets(), PLATFORM)
    newer = DOCUMENTS[0] | {"decided_at": "2027-01-01T00:00:00.000002Z", "answer": {"value": 1, "confidence": 0.25}}
    act([newer])
    act([newer | {"decided_at": "2027-01-01T00:00:00.000001Z", "answer": {"value": 0, "confidence": 0.75}}])
    assert asked(server.port, "SELECT score FROM decisions") == [[0.25]]
    act([newer | {"decided_at": "2027-01-01T00:00:01.000000Z", "answer": {"value": 0, "confidence": 0.5}}])
    assert asked(server.port, "SELECT score FROM decisions") == [[0.5]]


@pytest.mark.parametrize("text", ["nul \0 byte", "half \ud800 pair"])
def test_a_row_that_the_database_refuses_holds_up_no_other(text: str, server: Postgres, table: None) -> None:
    own = server.model_copy(update={"columns": {**server.columns, "none": "key.none"}})
    act = own.connect(lambda _: Secrets(), PLATFORM)
    bad = DOCUMENTS[50] | {"key": {**DOCUMENTS[50]["key"], "none": text}}
    with pytest.raises(DocumentsRefusedError, match="r-50"):
        act([*DOCUMENTS[:50], bad, *DOCUMENTS[51:]])
    assert asked(server.port, "SELECT count(*), count(none) FROM decisions") == [[99, 0]]


def test_without_a_time_nobody_knows_which_row_is_newer(server: Postgres) -> None:
    with pytest.raises(ValidationError, match="decided_at"):
        Postgres.model_validate({**server.model_dump(), "columns": {"id": "id", "score": "answer.confidence"}})


def test_a_server_that_is_away_is_an_error(server: Postgres) -> None:
    with pytest.raises(ConsumerError, match="ConnectionRefusedError"):
        server.model_copy(update={"port": 1}).connect(lambda _: Secrets(), PLATFORM)(DOCUMENTS)
