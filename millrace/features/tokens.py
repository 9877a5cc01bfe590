"""The encoder `tokens`: free text as a sequence of word pieces, learnt on the training rows by byte-pair encoding.

A pre-trained sentence encoder brings its own pieces, and the longest that fit are taken, from the left (Wu et al. 2016,
Google's Neural Machine Translation System, arXiv 1609.08144).

Words begin as characters. The most frequent pair of neighbours becomes a new piece, again and again (Sennrich et al.
2016, Neural Machine Translation of Rare Words with Subword Units, arXiv 1508.07909). Axes: N rows, T pieces of a text.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

from millrace.features.free_text import FreeText, words_of
from millrace.features.parts import NOWHERE
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MOST_PIECES = 4096
"""The most pieces that are learnt, single characters included: about 50 kB of an artefact."""
MOST_WORDS = 20_000
"""Pieces are learnt from this many of the most frequent words of the training rows."""
FEWEST_PAIRS = 4
"""A pair that occurs less often in the training rows becomes no piece."""
LONGEST = 256
"""The most pieces of a text that are kept."""
LONGEST_SENTENCE = 64
"""The most pieces for a sentence encoder, with the marks of begin and end. It takes as long for each text as for this
one, or for the longest of the training rows."""
LONGEST_WORD = 64
"""The most characters of a word that are read: the time to merge them grows with their square."""
MOST_KEPT = 2**15
"""The most words whose pieces are cached."""
UNKNOWN, FIRST = 1, 2
"""The id of a character that no training text has, and the id of the first piece. 0 is padding."""
START = "▁"
"""Stands before the first character of each word, so that a piece shows where a word begins."""
WITHIN, BEGIN, END = "##", "[CLS]", "[SEP]"
"""Of a sentence encoder: stands before a piece within a word, and the pieces before and behind a text."""


@dataclass(frozen=True, kw_only=True)
class Tokens(FreeText):
    """A tensor of its own (N, T), int64, with the name of the feature; 0 beyond the end of a text."""

    kind: ClassVar[str] = "tokens"
    blank: ClassVar[int] = UNKNOWN
    pieces: tuple[str, ...] | None = None
    """Single characters first, then merged pairs in the order in which they were learnt; None if not learnt yet.

    A pre-trained part brings its own."""
    characters: int = 0
    """How many of the pieces are single characters that were learnt."""
    pretrained: tuple[int, ...] = ()
    """The sizes of the sentence encoder that the pieces belong to, as the signature has them; empty without one."""

    def fit(self, rows: pa.Table) -> Self:
        """The encoder with the pieces of the rows' words, and the length of the longest text, LONGEST at most.

        Pieces that are given, those of a pre-trained part, are kept."""
        taught = self if self.pieces is not None else self._learnt(rows)
        return replace(taught, length=max([2, *(len(taught.ids(text)) for text in self.texts(rows))]))

    def _learnt(self, rows: pa.Table) -> Self:
        counts = Counter(word for text in self.texts(rows) for word in self._words(text))
        common = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_WORDS]
        alphabet = sorted({symbol for word, _ in common for symbol in word})[:MOST_PIECES]
        pieces = (*alphabet, *_learn(common, MOST_PIECES - len(alphabet)))
        return replace(self, pieces=pieces, characters=len(alphabet))

    @property
    def spec(self) -> TensorSpec:
        count = None if self.pieces is None else FIRST + len(self.pieces)
        return TensorSpec(
            name=self.name, dtype="int64", shape=(self.length,), cardinalities=(count,), pretrained=self.pretrained
        )

    @property
    def _most(self) -> int:
        """The most pieces of a text, without the marks around it."""
        return (self.length or LONGEST_SENTENCE) - 2 if self.pretrained else self.length or LONGEST

    def ids(self, text: str) -> list[int]:
        found: list[int] = []
        for word in self._words(text):
            found += self._ids_of(word)
            if len(found) >= self._most:
                break
        found = found[: self._most]
        return [self._places[BEGIN], *found, self._places[END]] if self.pretrained else found

    def origins(self, text: str) -> tuple[list[str], list[int]]:
        words = self._words(text)
        origins = [at for at, word in enumerate(words[:LONGEST]) for _ in self._ids_of(word)][: self._most]
        if self.pretrained:  # the marks belong to the first and to the last word
            origins = [*(origins[:1] or [NOWHERE]), *origins, *(origins[-1:] or [NOWHERE])]
        return [word.removeprefix(START) for word in words], origins

    def _words(self, text: str) -> list[str]:
        return [word[:LONGEST_WORD] if self.pretrained else START + word[:LONGEST_WORD] for word in words_of(text)]

    def measure(self, ids_NL: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """The number of pieces of each text, and the share of them that are single characters.

        A word that the training rows do not have falls apart into single characters."""
        import numpy as np

        pieces_N = (ids_NL > 0).sum(axis=1)
        single_N = ((ids_NL > 0) & (ids_NL < FIRST + self.characters)).sum(axis=1)
        return dict(zip(self.watched, (pieces_N.astype(np.float64), single_N / np.maximum(pieces_N, 1)), strict=True))

    @cached_property
    def _places(self) -> dict[str, int]:
        """The id of each piece."""
        return {piece: place for place, piece in enumerate(self.pieces or (), start=FIRST)}

    @cached_property
    def _kept(self) -> dict[str, list[int]]:
        """A cache: the ids of words that were cut already. It is no field, so it is neither compared nor stored."""
        return {}

    def _ids_of(self, word: str) -> list[int]:
        if (kept := self._kept.get(word)) is not None:
            return kept
        found = self._longest(word) if self.pretrained else self._merged(word)
        if len(self._kept) < MOST_KEPT:
            self._kept[word] = found
        return found

    def _longest(self, word: str) -> list[int]:
        """The ids of the longest pieces from the left, without accents. A word that no pieces cover is one unknown."""
        letters = "".join(one for one in unicodedata.normalize("NFD", word) if unicodedata.category(one) != "Mn")
        found, at = [], 0
        while at < len(letters):
            tried = ((WITHIN * (at > 0) + letters[at:end], end) for end in range(len(letters), at, -1))
            piece, at = next((one for one in tried if one[0] in self._places), ("", 0))
            if not piece:
                return [UNKNOWN]
            found.append(self._places[piece])
        return found

    def _merged(self, word: str) -> list[int]:
        """The ids of a word's pieces. Of all pairs of neighbours, the pair that was learnt first is merged first."""
        places, parts = self._places, list(word)
        no_piece = FIRST + len(places)  # a rank above all
        while len(parts) > 1:
            # An id is a rank, too, as pieces have ids in the order of learning.
            ranks = [places.get(a + b, no_piece) for a, b in pairwise(parts)]
            best = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[best] == no_piece:
                break
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        return [places.get(part, UNKNOWN) for part in parts]


def _learn(counted: Sequence[tuple[str, int]], most: int) -> list[str]:
    """At most `most` pieces that pairs become, in the order in which they are learnt.

    Of two pairs with the same count, the first in the alphabet becomes a piece first. `counted` has each word with its
    count."""
    # How often each pair occurs in all words, and the numbers of the words that hold it.
    words = [list(word) for word, _ in counted]
    counts: Counter[tuple[str, str]] = Counter()
    holders: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for number, (parts, (_, count)) in enumerate(zip(words, counted, strict=True)):
        for pair in pairwise(parts):
            counts[pair] += count
            holders[pair].add(number)
    # The heap holds counts as they were when a pair changed. A pair may have several entries: one with a count that is
    # no longer true is passed over.
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    # A piece may come from several pairs ("ab" + "c", "a" + "bc"): it is listed once.
    pieces: dict[str, None] = {}
    while len(pieces) < most and heap:
        negative, pair = heappop(heap)
        if -negative != counts[pair]:
            continue
        if -negative < FEWEST_PAIRS:
            break
        merged = pair[0] + pair[1]
        pieces[merged] = None
        # Only the words that hold the pair change, and with them the counts of their pairs.
        changed: set[tuple[str, str]] = set()
        for number in sorted(holders[pair]):
            parts, count = words[number], counted[number][1]
            for old in pairwise(parts):
                counts[old] -= count
                holders[old].discard(number)
            words[number] = after = _merged(parts, pair, merged)
            for new in pairwise(after):
                counts[new] += count
                holders[new].add(number)
            changed |= {*pairwise(parts), *pairwise(after)}
        for each in changed:
            heappush(heap, (-counts[each], each))
    return list(pieces)


def _merged(parts: Sequence[str], pair: tuple[str, str], merged: str) -> list[str]:
    """The parts of a word with each such pair of neighbours merged, from left to right."""
    found: list[str] = []
    at = 0
    while at < len(parts):
        is_pair = at + 1 < len(parts) and (parts[at], parts[at + 1]) == pair
        found.append(merged if is_pair else parts[at])
        at += 2 if is_pair else 1
    return found
