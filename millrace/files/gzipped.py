"""Opens a gzip file, such as `rows.csv.gz`. Several gzip files behind each other are one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.contract.reasons import Reason
from millrace.errors import DropError
from millrace.files.file_format import Packed, Packing


@contextmanager
def opened(path: Path) -> Iterator[Packed]:
    """The file within.

    Raises DropError `truncated` or `corrupt` with the number of bytes that came out before."""
    name = path.stem if path.suffix.lower() == ".gz" else path.name
    with gzip.open(path) as content:
        try:
            yield Packed(name=name, content=content)
        except EOFError:
            got = f"one cut off after {content.tell()} unpacked bytes"
            raise DropError(Reason.TRUNCATED, expected="a whole gzip file", got=got) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            got = f"{error}, after {content.tell()} unpacked bytes"
            raise DropError(Reason.CORRUPT, expected="a readable gzip file", got=got) from None


FORMAT = Packing(name="gzip", magic=b"\x1f\x8b", open=opened)
