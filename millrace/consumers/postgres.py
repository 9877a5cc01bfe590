"""A consumer that is a table of PostgreSQL: each decision becomes one row, inserted or updated by its id.

An older decision that comes again never replaces a newer one. A row that the database refuses holds up no other."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from millrace.consumers.address import connect, is_public
from millrace.consumers.consumer import LOOPBACK, Act, Client, Document, Outside, Secret
from millrace.errors import ConsumerError, DocumentsRefusedError, FieldError
from millrace.names import Platform
from millrace.workload.section import Section

TIMEOUT_S = 10
"""How long a connection, and each statement, may take, in seconds."""
Identifier = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]
Place = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")]
"""A field of a decision's document: `action`, `key.customer`, `answer.value`."""


class PostgresTable(Section):
    """A table of a server of PostgreSQL, reached over TLS."""

    host: str
    """A name that the internet resolves, since the function is in no VPC. In the stage `local` alone `localhost`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    database: str
    secret: Secret
    """The secret with `{"username": …, "password": …}`; a field `ca` may have the PEM of the server's authority."""
    table: Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$")]
    """`table` or `schema.table`."""

    @property
    def quoted_table(self) -> str:
        """The table as a statement names it."""
        return ".".join(f'"{part}"' for part in self.table.split("."))

    @contextmanager
    def session(self, secret: str, timeout_s: int = TIMEOUT_S) -> Iterator[Any]:
        """A connection by pg8000, with the user and the password in the text of the secret."""
        # By name: jobs read the declaration too, and their images have no driver.
        native, known, is_inner = import_module("pg8000.native"), json.loads(secret), self.host in LOOPBACK
        with (
            connect(self.host, self.port, timeout_s=timeout_s, is_inner=is_inner) as reached,
            native.Connection(
                known["username"],
                password=known["password"],
                host=self.host,  # the name that the certificate must have
                sock=reached,
                database=self.database,
                ssl_context=None if is_inner else ssl.create_default_context(cadata=known.get("ca")),
            ) as connection,
        ):
            yield connection


def check_host(field: str, host: str, stages: Sequence[str]) -> None:
    """Raise FieldError unless the internet resolves the host, or it is this machine in the stage `local` alone."""
    if not is_public(host) and not (host in LOOPBACK and tuple(stages) == ("local",)):
        expected = "a name that the internet resolves, or localhost with stages: [local] alone"
        raise FieldError(field=field, expected=expected, came=host)


class Postgres(PostgresTable, Outside):
    """A table of PostgreSQL, reached over TLS. Each decision is a row: inserted, or updated where its id is there.

        ledger:
          to: postgres
          host: db.example.com
          database: loans
          secret: ledger/writer
          table: decisions
          columns: {id: id, customer: key.customer, score: answer.confidence, decided_at: decided_at}

    The column that holds `id` is the table's primary key. That of `decided_at` is a `timestamptz` or text."""

    to: Literal["postgres"]
    columns: Annotated[dict[Identifier, Place], Field(min_length=1)]
    """By column of the table, the field of a decision."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Postgres:
        check_host("host", self.host, self.stages)
        if list(self.columns.values()).count("id") != 1:
            raise FieldError(field="columns", expected="one column that holds id", came=self.columns)
        if "decided_at" not in self.columns.values():
            expected = "a column that holds decided_at, by which an older decision never replaces a newer one"
            raise FieldError(field="columns", expected=expected, came=self.columns)
        return self

    def connect(self, client: Client, platform: Platform) -> Act:
        secrets = client("secretsmanager")

        def act(documents: Sequence[Document]) -> None:
            exceptions = import_module("pg8000.exceptions")
            known = secrets.get_secret_value(SecretId=self.secret)["SecretString"]
            try:
                with self.session(known) as connection:
                    self._put(connection, documents, (exceptions.DatabaseError, UnicodeError))
            except (exceptions.Error, OSError, UnicodeError) as error:
                raise ConsumerError(f"postgres {self.host}/{self.database}: {type(error).__name__}: {error}") from error

        return act

    def _put(self, connection: Any, documents: Sequence[Document], refusal: tuple[type[Exception], ...]) -> None:
        """All documents in one statement; each in its own if a cell of one is refused, by an error of `refusal`."""
        try:
            statement, values = self.upsert(documents)
            connection.run(statement, **values)
            return
        except refusal as error:
            if len(documents) == 1 or not _is_of_a_cell(error):
                raise
        refused: dict[str, str] = {}
        for document in documents:
            try:
                self._put(connection, [document], refusal)
            except refusal as error:
                refused[str(document["id"])] = str(error)
        if refused:
            came = f"{len(refused)} refused, the first {next(iter(refused.items()))}"
            expected = f"{len(documents)} rows taken"
            raise DocumentsRefusedError(f"postgres {self.host}/{self.database}: expected {expected}, got {came}")

    def upsert(self, documents: Sequence[Document]) -> tuple[str, dict[str, Any]]:
        """One statement for all of the documents, and the values of its parameters.

        PostgreSQL refuses a row twice in one statement, so of an id that comes twice the newest counts."""
        newest = {str(one["id"]): one for one in sorted(documents, key=lambda one: str(one["decided_at"]))}
        names = [f'"{name}"' for name in self.columns]
        places = list(self.columns.values())
        values = {
            f"v{row}_{number}": _cell(document, place)
            for row, document in enumerate(newest.values())
            for number, place in enumerate(places)
        }
        rows = [f"({', '.join(f':v{row}_{number}' for number in range(len(places)))})" for row in range(len(newest))]
        key = names[places.index("id")]
        others = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name != key)
        table = self.quoted_table
        decided_at = names[places.index("decided_at")]
        is_newer = f"{table}.{decided_at} <= EXCLUDED.{decided_at}"
        does = f"UPDATE SET {others} WHERE {is_newer}"  # nosec B608 - see below
        # Names come from the declaration, whose patterns hold no quote; values are parameters.
        said = f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join(rows)}"  # noqa: S608 - see above # nosec B608
        return f"{said} ON CONFLICT ({key}) DO {does}", values


def _is_of_a_cell(error: Exception) -> bool:
    """Whether a cell is to blame: half a surrogate pair, or what the database refuses as data or by a constraint.

    https://www.postgresql.org/docs/current/errcodes-appendix.html: the classes 22 and 23."""
    told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return isinstance(error, UnicodeError) or str(told.get("C", ""))[:2] in ("22", "23")


def _cell(document: Document, place: str) -> Any:
    """The field; None if the document has none. Lists and objects are JSON. Raises UnicodeError for half a pair."""
    found: Any = document
    for part in place.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        found.encode()  # in the middle of a statement half a surrogate pair would leave answers that nobody reads
    return json.dumps(found) if isinstance(found, list | dict) else found
