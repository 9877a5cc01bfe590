"""Words of a column's name and of its cells: for missing values, for identifiers, for persons, beside numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MISSING = (
    "", "?", "-", "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "none", "#N/A", "NaT", "n.a.",
    "N.A.", "k.A.", "k. A.", "k.a.", "#NV",
)  # fmt: skip
"""In every column, as spreadsheets, R and pandas write it in English and in German."""
NO_AMOUNTS = (
    *dict.fromkeys(word.lower() for word in MISSING), "--", "---", ".", "..", "<na>", "(null)", "(none)", "nil",
    "n/d", "n.d.", "n/k", "unknown", "not known", "not available", "not applicable", "not reported", "missing",
    "undefined", "no data", "unbekannt", "keine angabe", "fehlt",
)  # fmt: skip
"""In a column of numbers or times, in small letters. In a column of words `unknown` may be a class of its own."""
WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[a-zß-öø-ÿ]+|[A-ZÀ-ÖØ-Þ]+")
"""A word of a name: customerId and prénom_client have two each."""
IDENTIFIERS = {
    "id", "key", "uuid", "guid", "index", "nr", "no", "number", "nummer", "numero", "número", "numéro", "code",
}  # fmt: skip
PROTECTED = {
    "sex", "gender", "race", "ethnicity", "ethnic", "age", "religion", "nationality", "citizenship", "disability",
    "pregnant", "pregnancy", "birthdate", "birthday", "dob", "marital", "orientation", "caste", "skin",
    "alter", "geschlecht", "geburtsdatum", "geburtstag", "geburtsjahr", "familienstand", "behinderung",
    "staatsangehörigkeit", "staatsangehoerigkeit", "staatsbürgerschaft", "konfession", "schwanger",
    "sexe", "âge", "naissance", "nationalité", "nationalite",
    "sexo", "edad", "género", "genero", "nacimiento", "nacionalidad", "religión", "raza", "discapacidad", "embarazada",
}  # fmt: skip
PERSONAL = {
    "email", "phone", "mobile", "telephone", "fax", "ssn", "passport", "iban", "surname", "lastname", "firstname",
    "fullname", "forename", "username", "address", "street", "ip",
    "vorname", "nachname", "familienname", "anschrift", "adresse", "straße", "strasse", "telefon", "telefonnummer",
    "handy", "handynummer", "kundenname", "fahrername", "mitarbeitername",
    "patientenname", "steuernummer", "sozialversicherungsnummer",
    "prénom", "prenom", "courriel", "téléphone", "rue",
    "apellido", "apellidos", "dirección", "direccion", "correo", "teléfono", "telefono", "calle", "dni", "nif",
}  # fmt: skip
SIGNED = {
    "temp", "temperature", "celsius", "fahrenheit", "dewpoint", "change", "delta", "diff", "difference", "balance",
    "net", "profit", "gain", "loss", "return", "growth", "margin", "anomaly", "offset", "lat", "latitude", "lon", "lng",
    "longitude", "elevation", "altitude", "temperatur", "taupunkt", "saldo", "gewinn", "änderung", "differenz",
    "breitengrad", "längengrad", "température", "temperatura", "solde", "variation", "variación",
}  # fmt: skip
"""Words of numbers that may be below 0 though none of a file is: a summer has no frost."""
YES_NO = {
    "0", "1", "0.0", "1.0", "yes", "no", "y", "n", "true", "false", "t", "f", "ja", "nein", "j", "oui", "non", "o",
    "si", "sí", "s",
}  # fmt: skip
"""The cells of a column that only says whether somebody has an address, or wants mail."""
NAME = {"name", "nom", "nombre"}
PAIRS = {
    ("first", "name"), ("last", "name"), ("full", "name"), ("family", "name"),
    ("birth", "date"), ("date", "birth"), ("birth", "year"), ("year", "birth"),
    ("native", "country"), ("sexual", "orientation"), ("e", "mail"), ("social", "security"), ("ip", "address"),
}  # fmt: skip
CONTACT = {("e", "mail"), ("social", "security"), ("ip", "address")}
"""The pairs that name what a cell holds for one person alone."""
PEOPLE = {
    "agent", "applicant", "author", "borrower", "buyer", "caller", "candidate", "cashier", "child", "client", "contact",
    "customer", "doctor", "driver", "employee", "guest", "holder", "manager", "member", "nurse", "operator", "owner",
    "passenger", "patient", "person", "physician", "player", "rider", "seller", "student", "teacher", "tenant", "user",
    "worker",
}  # fmt: skip
"""Words for persons. With `name` behind it such a word names a person: `driver name` does, `product name` does not."""
WORDS: dict[str, set[str]] = {
    "a sex": {"male", "female", "man", "woman", "f", "m", "husband", "wife"},
    "an ethnicity": {"black", "white", "asian", "hispanic", "latino", "caucasian", "amer-indian-eskimo"},
    "a religion": {"christian", "muslim", "jewish", "hindu", "buddhist", "catholic", "protestant"},
}
"""Words in the cells of a column by what they say. Two different ones in a column are enough."""
EMAIL = r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$"
PHONE = r"^\+?[0-9][0-9 ()/.-]{7,16}[0-9]$"
"""15 digits at most, and the characters between them. https://www.itu.int/rec/T-REC-E.164"""
MOST = 0.5
"""More than this share of the cells must look like an e-mail address or a phone number."""
LEAST_OF_PERSON = 1e5
"""Smaller numbers are no telephone numbers and no numbers of cards."""
LEAST_SHOWN = 0.0005
"""A smaller share would be shown as 0.0%."""

SHOWN = 5


def words_of_no_amount(texts: pa.Array | pa.ChunkedArray) -> tuple[str, ...]:
    """The texts that are words of NO_AMOUNTS, each once, as they are written and in the order in which they come."""

    came = texts.unique()
    return tuple(came.filter(pc.is_in(pc.utf8_lower(came), value_set=pa.array(NO_AMOUNTS, pa.string()))).to_pylist())


def without(texts: pa.Array | pa.ChunkedArray, words: tuple[str, ...]) -> pa.Array | pa.ChunkedArray:
    """The texts with null in place of the words."""

    return pc.if_else(pc.is_in(texts, value_set=pa.array(words, pa.string())), pa.scalar(None, pa.string()), texts)


def taken_as_missing(texts: pa.Array, words: tuple[str, ...]) -> str:
    """How many cells hold each of the words: `81 cells 'unknown' taken as missing (1.1%)`; "" without words."""

    there = texts.filter(pc.is_in(texts, value_set=pa.array(words, pa.string())))
    counts = {entry["values"]: entry["counts"] for entry in there.value_counts().to_pylist()}
    said = []
    for word in words:
        many, _, share = share_of(counts[word], len(texts)).partition(" ")
        cells = "cell" if counts[word] == 1 else "cells"
        said.append(f"{many} {cells} {word!r} taken as missing {share}".rstrip())
    return ", ".join(said)


def once(said: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each sentence once, with the names of all columns that it is said of."""
    names: dict[str, list[str]] = {}
    for name, sentence in said:
        names.setdefault(sentence, []).append(name)
    return [(", ".join(each), sentence) for sentence, each in names.items()]


def first_of(words: Sequence[str], between: str = ", ") -> str:
    """The first SHOWN words, and "…" for more of them."""
    return between.join(words[:SHOWN]) + "…" * (len(words) > SHOWN)


def share_of(many: int, of: int) -> str:
    """The number with its share behind it: `81 (1.1%)`. A share below a twentieth of a percent is left out."""
    return f"{many:,} ({many / of:.1%})" if many >= LEAST_SHOWN * of else f"{many:,}"


def counted(cells: pa.Array | pa.ChunkedArray) -> list[tuple[Any, int]]:
    """Each value with the number of its rows, most frequent first. Null is not counted."""
    pairs = [(entry["values"], entry["counts"]) for entry in cells.drop_null().value_counts().to_pylist()]
    return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))


def repeated_rows(columns: Sequence[pa.Array | pa.ChunkedArray]) -> int:
    """How many rows equal an earlier row in all of these columns."""

    # By place: a name such as `.` would be a path to Arrow.
    rows = pa.table(list(columns), names=[str(place) for place in range(len(columns))])
    return int(rows.num_rows - rows.group_by(rows.column_names).aggregate([]).num_rows)


def words_of_name(name: str) -> list[str]:
    """The words of a name in lower case: `customer` and `id` of `customerId`."""
    return [word.lower() for word in WORD.findall(name)]


def is_called(name: str, words: Sequence[str]) -> bool:
    """Whether the column has one of these names, as people write them."""
    return name.lower().replace(" ", "_").replace("-", "_").replace(".", "_").removeprefix("is_") in words


def may_be_negative(name: str) -> bool:
    """Whether numbers of this name may be below 0 in a later file, by a word of it: `outdoor_temperature`."""
    return bool(SIGNED & {*words_of_name(name)}) or "°" in name


def is_identifier(name: str) -> bool:
    """Whether a column only numbers the rows, by the last word of its name: `customerId`."""
    words = words_of_name(name)
    return bool(words) and words[-1] in IDENTIFIERS


def why_protected(name: str, cells: pa.Array) -> str:
    """What the column says of a person, such as "its name says age"; "" if it seems to say nothing."""
    # `name` names a person if it is the whole name of a column of text. `product name` does not.
    words = words_of_name(name)
    if len(words) == 1 and words[0] in NAME and pa.types.is_string(cells.type):
        return "its name says that it names a person"
    if found := next((word for word in words if word in PROTECTED), ""):
        return f"its name says {found}"
    # Yes or no is nobody's address: `has_phone`, `receives_e_mail`.
    if _says_yes_or_no(cells) and not {*pairwise(words)} & (PAIRS - CONTACT):
        return _by_cells(cells) if pa.types.is_string(cells.type) else ""
    if not _are_small(cells) and (found := next((word for word in words if word in PERSONAL), "")):
        return f"its name says {found}, of a person"
    if any(pair in PAIRS or (pair[0] in PEOPLE and pair[1] in NAME) for pair in pairwise(words)):
        return "its name says something of a person"
    return _by_cells(cells) if pa.types.is_string(cells.type) else ""


def _are_small(cells: pa.Array) -> bool:
    """Whether they are numbers too small for one of a person: `DNI` may be a card, and the sunlight on a roof."""
    if not pa.types.is_integer(cells.type) and not pa.types.is_floating(cells.type):
        return False
    high = pc.max(cells).as_py()
    return high is not None and high < LEAST_OF_PERSON


def _says_yes_or_no(cells: pa.Array) -> bool:
    found = cells.drop_null().unique()
    return len(found) <= 2 and {str(value).strip().lower() for value in found.to_pylist()} <= YES_NO


def _by_cells(cells: pa.Array) -> str:

    known = cells.drop_null()
    is_date = pc.all(pc.match_substring_regex(known, r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}")).as_py()
    for what, pattern in (("an e-mail address", EMAIL), ("a phone number", PHONE)):
        if float(pc.mean(pc.match_substring_regex(known, pattern)).as_py()) > MOST and not is_date:
            return f"its cells look like {what}"
    # A column with more values than the longest list of words is no column of such words: its texts are not compared.
    distinct = known.unique()
    if len(distinct) > max(map(len, WORDS.values())):
        return ""
    values = {str(value).strip().lower() for value in distinct.to_pylist()}
    for what, words in WORDS.items():
        if len(values & words) >= 2:
            return f"its cells say {what}"
    return ""
