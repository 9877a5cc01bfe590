"""Recognises columns that say who a person is, or what the law protects of a person, by their names and their cells."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from console.new.counts import words_of_name
from console.new.observed import Observed

if TYPE_CHECKING:
    import pyarrow as pa

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
NAME = {"name", "nom", "nombre"}
PAIRS = {
    ("first", "name"), ("last", "name"), ("full", "name"), ("family", "name"),
    ("birth", "date"), ("date", "birth"), ("birth", "year"), ("year", "birth"),
    ("native", "country"), ("sexual", "orientation"), ("e", "mail"), ("social", "security"), ("ip", "address"),
}  # fmt: skip
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


def why_protected(column: Observed) -> str:
    """What the column says of a person, such as "its name says age"; "" if it seems to say nothing."""
    # `name` names a person if it is the whole name of a column of text. `product name` does not.
    words = words_of_name(column.name)
    if len(words) == 1 and words[0] in NAME and column.kind == "string":
        return "its name says that it names a person"
    if found := next((word for word in words if word in PROTECTED), ""):
        return f"its name says {found}"
    if found := next((word for word in words if word in PERSONAL), ""):
        return f"its name says {found}, of a person"
    if any(pair in PAIRS or (pair[0] in PEOPLE and pair[1] in NAME) for pair in pairwise(words)):
        return "its name says something of a person"
    return _by_cells(column.cells) if column.kind == "string" else ""


def _by_cells(cells: pa.Array) -> str:
    import pyarrow.compute as pc

    known = cells.drop_null()
    for what, pattern in (("an e-mail address", EMAIL), ("a phone number", PHONE)):
        if float(pc.mean(pc.match_substring_regex(known, pattern)).as_py()) > MOST and not _is_date(known):
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


def _is_date(known: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.all(pc.match_substring_regex(known, r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}")).as_py())
