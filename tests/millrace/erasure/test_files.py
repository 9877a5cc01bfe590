"""A file loses the records of a person and no other ones, in every format."""

from __future__ import annotations

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.contract.csv_form import CsvForm
from millrace.erasure.files import UNREADABLE, Person, rest_of
from tests.archives import zipped
from tests.millrace.files.test_catalogue import parquet

PERSON = Person(cells={"id": frozenset({"c-17", "Zoë 4"}), "prediction_id": frozenset({"r-0-3"})})


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b"id,sex\nc-17,F\nc-178,M\n x-c-17 ,M\n", b"id,sex\nc-178,M\n x-c-17 ,M\n"),
        (b'id,sex\r\n"c-17","a\r\nb"\r\n"c-18","of c-17"\r\n', b'id,sex\r\n"c-18","of c-17"\r\n'),
        (b"id,sex\nc-17,F,broken\nc-18,M\n", b"id,sex\nc-18,M\n"),
        (b'{"id": "c-17"}\n{"id": "c-18", "said": "c-17"}\n{"id": "c-17\n', b'{"id": "c-18", "said": "c-17"}\n'),
        (b'{"id": "c-17, d"}\n{"id": "c-17\'s"}\n{"id": "c-17"}\n', b'{"id": "c-17, d"}\n{"id": "c-17\'s"}\n'),
        (b'{"id": "Zo\\u00eb 4"}\n{"id": "c-18"}\n', b'{"id": "c-18"}\n'),
        (b'{"a": {"data": "{\\"id\\":\\"c-17\\"}"}}\n{"id": "c-2"}\n', b'{"id": "c-2"}\n'),
        (b'{\n "rows": [{"id": "c-17"},\n {"prediction_id": "r-0-3"}, {"id": "c-2"}]\n}', None),
        (b'{"id": "c-17", "rows": []}', None),
    ],
)
def test_records_of_the_person_leave_and_no_other_ones(body: bytes, left: bytes | None) -> None:
    rest, removed = rest_of(body, PERSON, PERSON.owns, CsvForm())
    assert (rest, len(removed) > 0) == (left, True)
    for pack in (gzip.compress, lambda data: zipped(**{"rows.csv": data})):
        packed, _ = rest_of(pack(body), PERSON, PERSON.owns, CsvForm())
        assert (packed and gzip.decompress(packed)) == left
    assert rest_of(b"of nobody", PERSON, PERSON.owns) == (b"of nobody", ())


NAME = 'Zoë "x" O\'Neil/4'


@pytest.mark.parametrize(
    "written",
    [
        NAME.encode("cp1252"),
        b'"Zo\xc3\xab ""x"" O\'Neil/4"',
        json.dumps(NAME).encode(),
        json.dumps(NAME, ensure_ascii=False).replace("/", "\\/").encode(),
        json.dumps(json.dumps(f"a\n{NAME}")).encode(),
        json.dumps('"Zoë ""x"" O\'Neil/4",F').encode(),
        b'"Zo\\u00EB \\u0022x\\u0022 O\\u0027Neil/4"',
        parquet(id=[NAME]),
    ],
    ids=range(8),  # what is packed has the time in it
)
def test_a_person_is_known_however_their_name_is_written(written: bytes) -> None:
    person = Person(cells={"id": frozenset({NAME})})
    assert person.is_in(written)
    assert not Person(cells={"id": frozenset({NAME[:-3]})}).is_in(written)
    assert person.owns(b'{"id": %b}' % json.dumps(NAME).encode())


@pytest.mark.parametrize(
    "body", [gzip.compress(b"id,sex\n")[:-9], zipped(**{"rows.csv": b"c-17"})[:30], b"PAR1" + b"0" * 99], ids=range(3)
)
def test_nobody_says_who_is_in_a_broken_file(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        PERSON.is_in(body)


def test_a_csv_file_of_another_form() -> None:
    form = CsvForm(delimiter=";", encoding="cp1252", columns=("id", "sex"))
    rest, _ = rest_of("Zoë 4;é\nc-2;é\n".encode("cp1252"), PERSON, PERSON.owns, form)
    assert rest == "c-2;é\n".encode("cp1252")


def test_rows_of_parquet_leave_by_their_cell_or_by_what_came() -> None:
    ids = pa.array(["c-17", "c-2", "c-3"]).dictionary_encode()  # as pandas writes categories
    body = parquet(id=ids, raw=["", json.dumps({"id": "c-17"}), "c-3;c-17"])
    for is_theirs, left in ((PERSON.owns, ["c-3"]), (PERSON.names, [])):
        content, _ = rest_of(body, PERSON, is_theirs)
        rest = pq.read_table(io.BytesIO(content or b""))["id"].combine_chunks()
        assert (rest.to_pylist(), rest.dictionary.to_pylist()) == (left, left)
    assert rest_of(parquet(id=["c-170"]), PERSON, PERSON.names) == (parquet(id=["c-170"]), ())


def test_what_cannot_be_taken_apart_goes_whole() -> None:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, pa.schema({"id": pa.string()})) as writer:
        writer.write_table(pa.table({"id": ["c-17"]}))
    assert rest_of(sink.getvalue(), PERSON, PERSON.names)[0] is None
    assert PERSON.is_in(sink.getvalue())
