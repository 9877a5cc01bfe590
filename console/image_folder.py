"""A folder of images as a table: `<class>/1.png`, `train/<class>/1.png`, or images without a class."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.console.words import count, first_few
from millrace.contract.rules.image import ImageFormat, read_png

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa


SUFFIXES = (".png", ".jpg", ".jpeg")
"""The suffixes of files that are read."""
PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
PARTS |= {"dev": "validation", "test": "test", "testing": "test"}
"""The part of a published split that each word means."""
SHOWN = 5
"""How many names of left-out files are shown; more would fill the screen."""
ID, SPLIT, IMAGE, LABEL = "id", "split", "image", "label"


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """The images below a folder, sorted by path."""

    folder: Path
    paths: tuple[Path, ...]
    others: tuple[Path, ...] = ()
    """Files of other formats, which are left out."""

    @property
    def left_out(self) -> str:
        """A sentence about the files that are left out; empty if there are none."""
        if not self.others:
            return ""
        first, read = (
            first_few([str(path.relative_to(self.folder)) for path in self.others], SHOWN),
            ", ".join(SUFFIXES),
        )
        return f"{count(len(self.others), 'file')} left out, of no format that is read ({read}): {first}"

    @property
    def in_classes(self) -> tuple[Path, ...]:
        """The images that lie in the folder of a class."""
        return tuple(path for path in self.paths if len(path.relative_to(self.folder).parts) > 1)

    @property
    def has_parts(self) -> bool:
        """Whether the class folders lie in the folders of a published split: `train/<class>/1.png`."""
        words = [path.relative_to(self.folder).parts for path in self.in_classes]
        return {each[0].lower() for each in words} <= PARTS.keys() and all(len(each) > 2 for each in words)

    def labelled(self) -> pa.Table:
        """A table of the images in classes: `id`, `image`, `label`, and `split` if there are parts."""
        has_parts = self.has_parts
        words = [path.relative_to(self.folder).parts for path in self.in_classes]
        columns: dict[str, Sequence[object]] = {}
        if has_parts:
            columns[SPLIT] = [PARTS[each[0].lower()] for each in words]
        label = {LABEL: [each[1] if has_parts else each[0] for each in words]}
        return self._table(self.in_classes, before=columns, after=label)

    def unlabelled(self) -> pa.Table:
        """A table with `id` and `image` of each image."""
        return self._table(self.paths, before={}, after={})

    def _table(
        self, paths: Sequence[Path], *, before: Mapping[str, Sequence[object]], after: Mapping[str, Sequence[object]]
    ) -> pa.Table:
        """The images between the columns `before` and `after`. The id is the path below the folder, without suffix."""
        import pyarrow as pa

        ids = ["/".join(path.relative_to(self.folder).with_suffix("").parts) for path in paths]
        return pa.table({ID: ids, **before, IMAGE: [path.read_bytes() for path in paths], **after})


def scaled_to(cell: bytes, rule: ImageFormat) -> bytes:
    """The image as a PNG of the rule's size and colours.

    The cell is returned as it is if it has that form already, if it is not an image, or if it is transparent. The
    contract refuses the latter two."""
    from PIL import Image

    channels, height, width = rule.shape
    if (found := read_png(cell)) and (found.channels, found.height, found.width) == rule.shape and found.bits == 8:
        return cell
    try:
        with Image.open(BytesIO(cell), formats=["PNG", "JPEG"]) as opened:
            if opened.has_transparency_data:
                return cell
            picture = opened.convert("L" if channels == 1 else "RGB").resize((width, height))
    # Pillow raises errors of many classes for damaged files. The cell stays as it is, and validation says what is
    # wrong.
    except Exception:
        return cell
    written = BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def find_images(folder: Path) -> ImageFolder:
    """The images below `folder`, at any depth."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    paths = tuple(path for path in files if path.suffix.lower() in SUFFIXES)
    others = tuple(path for path in files if path.suffix.lower() not in SUFFIXES)
    return ImageFolder(folder=folder, paths=paths, others=others)


SIGNATURES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
"""How the bytes of an image begin that a browser can show."""


def data_uri(content: bytes) -> str | None:
    """The image as a `data:` URI; None for bytes that a browser cannot show, such as raw pixels."""
    kind = next((kind for start, kind in SIGNATURES.items() if content.startswith(start)), None)
    return None if kind is None else f"data:image/{kind};base64,{b64encode(content).decode()}"
