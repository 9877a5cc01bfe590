"""The encoder `text`: free text as a bag of hashed n-grams of words, and of characters if the training texts are short.

The hash of an n-gram is its id in a table of fixed size. So little is learnt from the training rows: the length of a
text, whether texts are short, and which words occur. How much a rare n-gram weighs is learnt by the network. Axes: N
rows, L ids of a text.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

from millrace.features.free_text import FreeText, words_of
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


BUCKETS = 2**16
"""The number of ids; 0 is padding."""
WORD_BUCKETS = BUCKETS // 4
"""Ids below this one are single words. So a tensor alone shows how many words of a text are unknown."""
MOST_IDS = 512
"""The most n-grams of a text: single words come first, then pairs, pairs with a gap, and groups of characters."""
LONGEST_WORD = 32
"""The n-grams of characters are taken from this many characters of a word."""
SHORT_TEXT = 20
"""If the training texts have at most this many words on average, they are short.

Pairs with a gap and n-grams of characters are then taken as well."""


@dataclass(frozen=True, kw_only=True)
class Text(FreeText):
    """A tensor of its own (N, L), int64, with the name of the feature. A missing or empty text has no ids, only 0."""

    kind: ClassVar[str] = "text"
    is_short: bool = True
    """Whether the training texts are short, as SHORT_TEXT says."""
    seen: str = ""
    """Which ids of words the training rows have: one bit for each of the WORD_BUCKETS ids, packed, in base64."""

    def fit(self, rows: pa.Table) -> Self:
        """The encoder with the number of ids of the longest text, MOST_IDS at most, and the words that occur."""
        import numpy as np

        # Two passes over the texts: the ids of a text depend on whether texts are short, which all texts together say.
        counts = [len(words_of(text)) for text in self.texts(rows)]
        taught = replace(self, is_short=sum(counts) <= SHORT_TEXT * len(counts))
        bits = np.zeros(WORD_BUCKETS, np.bool_)
        length = 1
        for text in self.texts(rows):
            ids = taught.ids(text)
            length = max(length, len(ids))
            bits[[one for one in ids if one < WORD_BUCKETS]] = True
        return replace(taught, length=length, seen=base64.b64encode(np.packbits(bits).tobytes()).decode())

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype="int64", shape=(self.length,), cardinalities=(BUCKETS,))

    def measure(self, ids_NL: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """The number of different words of each text, and the share of them that no training text has."""
        import numpy as np

        word_NL = (ids_NL > 0) & (ids_NL < WORD_BUCKETS)
        words_N = word_NL.sum(axis=1)
        new_N = (word_NL & ~self._seen[np.where(word_NL, ids_NL, 0)]).sum(axis=1)
        return dict(zip(self.watched, (words_N.astype(np.float64), new_N / np.maximum(words_N, 1)), strict=True))

    @cached_property
    def _seen(self) -> npt.NDArray[np.bool_]:
        import numpy as np

        packed = np.frombuffer(base64.b64decode(self.seen) or bytes(WORD_BUCKETS // 8), np.uint8)
        return np.unpackbits(packed).astype(np.bool_)

    def ids(self, text: str) -> list[int]:
        return [*dict(self._grams(words_of(text)))][: self.length or MOST_IDS]

    def origins(self, text: str) -> tuple[list[str], list[int]]:
        """The words of a text, and for each of its `ids` the place of the word that it comes from.

        An id of several words comes from the first of them. A word that comes twice has one id, so it is one word
        here."""
        words = words_of(text)
        place = {word: at for at, word in enumerate(dict.fromkeys(words))}
        first: dict[int, int] = {}
        for one, word in self._grams(words):
            first.setdefault(one, place[word])
        return list(place), list(first.values())[: self.length or MOST_IDS]

    def _grams(self, words: list[str]) -> list[tuple[int, str]]:
        """The id of each n-gram of a text with these words, and its first word."""
        # The prefix keeps kinds of n-grams apart: the pair "a b" must not have the id of the pair with a gap "a b".
        grams = [(_hashed(f"1 {word}", 1, WORD_BUCKETS), word) for word in words]
        grams += [(_hashed(f"2 {a} {b}"), a) for a, b in pairwise(words)]
        if self.is_short:
            grams += [(_hashed(f"3 {a} {b}"), a) for a, b in zip(words, words[2:], strict=False)]
            grams += [(one, word) for word in words for one in _characters(word)]
        return grams


@lru_cache(maxsize=2**15)
def _characters(word: str) -> tuple[int, ...]:
    """The ids of the n-grams of three to five characters of a word with its ends marked, such as `<ab`, `abc`, `bc>`.

    They are cached, as most words come again."""
    marked = f"<{word[:LONGEST_WORD]}>"
    return tuple(_hashed(f"c {marked[at : at + n]}") for n in (3, 4, 5) for at in range(len(marked) - n + 1))


def _hashed(gram: str, first: int = WORD_BUCKETS, end: int = BUCKETS) -> int:
    """The id of an n-gram, from `first` to `end` - 1."""
    # JSON may hold half of a surrogate pair, for which UTF-8 has no bytes: `surrogatepass` encodes it all the same.
    return first + zlib.crc32(gram.encode("utf-8", "surrogatepass")) % (end - first)
