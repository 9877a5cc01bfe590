"""`make docs`: write the generated tables of all pages, and llms.txt, anew."""

from tests.documentation.pages import INDEX, PATHS, index
from tests.documentation.tables import filled

for path in PATHS:
    before = path.read_text()
    if (after := filled(before)) != before:
        path.write_text(after)
        print(f"written: {path.name}")
INDEX.write_text(index())
