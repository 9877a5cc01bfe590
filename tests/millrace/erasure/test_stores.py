"""Each folder and each kind of item is erased, or says why there is nothing of a person."""

from __future__ import annotations

import re

import millrace.state.table
from millrace.erasure.stores import ANSWERS, FOLDERS, REVIEWS
from millrace.infra.retention import RETENTION


def test_each_folder_with_a_rule_of_retention_is_named() -> None:
    assert set(FOLDERS) == {f"{bucket}/{folder}" for bucket, folders in RETENTION.items() for folder in folders}


def test_each_item_that_may_name_a_person_is_erased() -> None:
    _, *parts = re.split(r"\nor, with what may name a person.*:\n", str(millrace.state.table.__doc__))
    kinds = [set(re.findall(r"^    .*#", part.partition("\npk is")[0], re.M)) for part in parts]
    assert [set(re.findall(r"\w+#", " ".join(found))) for found in kinds] == [{*ANSWERS}, {*REVIEWS}]
