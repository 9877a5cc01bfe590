"""Reads images for a proposal: folders of classes, or a table whose cells name files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from console.image_folder import SUFFIXES, find_images
from console.new.delimited import stop
from console.new.observed import LeftOut, Observed
from console.new.source import Source, read_source
from millrace.contract.rules.image import MOST_BYTES, ImageFormat, ImageSize, read_jpeg, read_png
from millrace.contract.rules.pixels import Encoding
from millrace.contract.schema import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

USUAL_SHARE = 0.95
"""Least share of the images that must have one size and encoding. The contract refuses the others."""


def read_folder(folder: Path) -> Source:
    """The images below `folder` as rows of `id`, `image`, `label` and, for `train/<class>`, `split`.

    An image lies in the folder of its class. Raises ConfigurationError if no image does."""
    found = find_images(folder)
    paths, inside = found.paths, found.in_classes
    if not inside:
        expected = f"images ({', '.join(SUFFIXES)}) in a folder for each class: {folder.name}/<class>/a.png"
        came = f"{len(paths)} images beside each other" if paths else "no images"
        stop(folder, "--from", expected, f"{came}; a CSV file may name them: file,label")
    notes = [f"{len(inside):,} images of the folder {folder}; an image's class is the folder that it lies in"]
    if len(paths) > len(inside):
        notes.append(f"{len(paths) - len(inside):,} images that lie in no class's folder are left out")
    if found.left_out:
        notes.append(found.left_out)
    return Source(path=folder, table=found.labelled(), has_typed_text=False, notes=tuple(notes))


def read_any(path: Path, *, columns: Sequence[str] = (), decimal: str = "") -> Source:
    """The rows of a folder of images or of a file. In a column that names image files, images replace the names."""
    return read_folder(path) if path.is_dir() else _with_images(read_source(path, columns=columns, decimal=decimal))


def _with_images(source: Source) -> Source:
    import pyarrow as pa

    table, notes = source.table, list(source.notes)
    for place, name in enumerate(table.column_names):
        cells = table[name].combine_chunks()
        if not pa.types.is_string(cells.type) or not _names_files(cells, source.path.parent):
            continue
        names = cells.to_pylist()
        paths = [source.path.parent / str(cell) for cell in names]
        if missing := [str(cell) for cell, path in zip(names, paths, strict=True) if not path.is_file()]:
            stop(source.path, name, "names of image files beside the table", missing[:3])
        images = pa.array([path.read_bytes() for path in paths], pa.binary())
        table = table.set_column(place, name, images)
        # The names made way for the images, but they tell the rows apart: without an `id` they become one.
        if not {"id"} & set(table.column_names):
            table = table.add_column(0, "id", pa.array([str(cell).rsplit(".", 1)[0] for cell in names]))
        notes.append(f"{name} names image files: the drops hold the images themselves")
    return replace(source, table=table, notes=tuple(notes))


def _names_files(cells: pa.Array, folder: Path) -> bool:
    first = [str(cell) for cell in cells[:20].to_pylist()]
    return bool(first) and all(cell.lower().endswith(SUFFIXES) for cell in first) and (folder / first[0]).is_file()


def observe_images(
    name: str, cells: pa.ChunkedArray, *, size: tuple[int, int] | None, where: str
) -> tuple[Observed, Column] | LeftOut:
    """The column of images with its rule, by the headers that the contract reads; LeftOut for other bytes.

    `size` is the height and the width in pixels to which all images are scaled, as PNG. Raises ConfigurationError if
    the images have many sizes. The contract refuses a few of another size."""
    import pyarrow as pa

    flat = cells.combine_chunks().cast(pa.binary())
    changed = ""
    if size is not None:
        flat = pa.array(_scaled(flat.to_pylist(), size), pa.binary())
        changed = (
            f"scaled to {size[0]} x {size[1]} pixels, as PNG; `scale: true` in the contract lets `millrace drop` and "
            "`millrace predict` do so with later ones"
        )
    # The most frequent kind of image becomes the rule. An image of another kind breaks it, and is refused.
    found_headers = [_header(cell) for cell in flat.to_pylist() if cell is not None]
    headers = Counter(header for header in found_headers if header is not None)
    if not headers:
        return LeftOut(name=name, reason="holds bytes that are no PNG and no JPEG of 8 bits without transparency")
    (encoding, found), count = headers.most_common(1)[0]
    if count < USUAL_SHARE * len(flat):
        shown = ", ".join(f"{_say(each)} {rows:,}×" for each, rows in headers.most_common(4))
        expected = f"images of one size and encoding ({USUAL_SHARE:.0%} of them), or --image-size 64x64 to scale them"
        stop(Path(where), name, expected, shown)
    rule = ImageFormat(encoding=encoding, shape=(found.channels, found.height, found.width), scale=size is not None)
    column = Column(name=name, kind="binary", required=True, rules=(rule,))
    return Observed(name=name, kind="binary", cells=flat, distinct=len(flat.unique()), changed=changed), column


def _header(cell: bytes) -> tuple[Encoding, ImageSize] | None:
    """Encoding and size of the image; None if the contract cannot take such an image."""
    for encoding, found in (("png", read_png(cell)), ("jpeg", read_jpeg(cell))):
        if found is not None and found.bits == 8 and found.channels in (1, 3) and len(cell) <= MOST_BYTES:
            return encoding, found  # type: ignore[return-value]
    return None


def _say(header: tuple[Encoding, ImageSize]) -> str:
    encoding, found = header
    return f"{encoding.upper()} of {found.height} x {found.width} pixels, {'grey' if found.channels == 1 else 'colour'}"


def _scaled(cells: Sequence[bytes | None], size: tuple[int, int]) -> Iterator[bytes | None]:
    """The images in that size, as PNG, grey if all are grey. A cell that is no image stays as it is."""
    from PIL import Image

    # All images are opened before the first is written: one in colour makes all of them colour.
    pictures: list[Image.Image | None] = []
    for cell in cells:
        try:
            opened = Image.open(BytesIO(cell or b""), formats=["PNG", "JPEG"])
            opened.load()
            pictures.append(None if opened.has_transparency_data else opened)
        # A damaged file may raise any error: it is a cell that is no image, and stays.
        except Exception:
            pictures.append(None)
    mode = "L" if all(picture is None or picture.mode in ("1", "L") for picture in pictures) else "RGB"
    for cell, picture in zip(cells, pictures, strict=True):
        if picture is None:
            yield cell
            continue
        written = BytesIO()
        picture.convert(mode).resize((size[1], size[0])).save(written, "PNG")
        yield written.getvalue()
