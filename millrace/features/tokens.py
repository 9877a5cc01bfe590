"""The encoder `tokens`: free text as a sequence of word pieces, learnt on the training rows by byte-pair encoding.

A pre-trained sentence encoder brings its own pieces, and the longest that fit are taken, from the left (Wu et al. 2016,
Google's Neural Machine Translation System, arXiv 1609.08144).

Words begin as characters. The most frequent pair of neighbours becomes a new piece, again and again (Sennrich et al.
2016, Neural Machine Translation of Rare Words with Subword Units, arXiv 1508.07909). `tokenizers` does both.
Axes: N rows, T pieces of a text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from millrace.features.free_text import FreeText, words_of
from millrace.features.parts import NOWHERE
from millrace.features.signature import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    from tokenizers import Encoding, Tokenizer

MOST_PIECES = 4096
"""The most pieces that are learnt, single characters included: about 50 kB of an artefact."""
FEWEST_PAIRS = 4
"""A pair that occurs less often in the training rows becomes no piece."""
LONGEST = 256
"""The most pieces of a text that are kept."""
LONGEST_SENTENCE = 64
"""The most pieces for a sentence encoder, with the marks of begin and end. It takes as long for each text as for this
one, or for the longest of the training rows."""
UNKNOWN, FIRST = 1, 2
"""The id of a character that no training text has, and the id of the first piece. 0 is padding."""
START = "▁"
"""Stands before the first character of each word, so that a piece shows where a word begins."""
BEGIN, END, NO_PIECE = "[CLS]", "[SEP]", "[UNK]"
"""The pieces before and behind a text of a sentence encoder, and what stands for UNKNOWN. No word is written so."""


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
        from tokenizers import Tokenizer
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import WhitespaceSplit
        from tokenizers.trainers import BpeTrainer

        tokenizer = Tokenizer(BPE())
        tokenizer.pre_tokenizer = WhitespaceSplit()
        trainer = BpeTrainer(
            vocab_size=MOST_PIECES, min_frequency=FEWEST_PAIRS, limit_alphabet=MOST_PIECES, show_progress=False
        )
        tokenizer.train_from_iterator((" ".join(self._words(text)) for text in self.texts(rows)), trainer)
        vocabulary = tokenizer.get_vocab()
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        return replace(self, pieces=tuple(pieces), characters=sum(len(piece) == 1 for piece in pieces))

    @property
    def spec(self) -> TensorSpec:
        count = None if self.pieces is None else FIRST + len(self.pieces)
        return TensorSpec(
            name=self.name, dtype="int64", shape=(self.length,), cardinalities=(count,), pretrained=self.pretrained
        )

    def ids(self, text: str) -> list[int]:
        return self._cut(self._words(text)).ids

    def origins(self, text: str) -> tuple[list[str], list[int]]:
        words = self._words(text)
        origins = [place for place in self._cut(words).word_ids if place is not None]
        if self.pretrained:  # the marks belong to the first and to the last word
            origins = [*(origins[:1] or [NOWHERE]), *origins, *(origins[-1:] or [NOWHERE])]
        return [word.removeprefix(START) for word in words], origins

    def _words(self, text: str) -> list[str]:
        # JSON may hold half of a surrogate pair, which the library cannot read: a mark takes its place.
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return [word if self.pretrained else START + word for word in words_of(whole)]

    def measure(self, ids_NL: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """The number of pieces of each text, and the share of them that are single characters.

        A word that the training rows do not have falls apart into single characters."""
        import numpy as np

        pieces_N = (ids_NL > 0).sum(axis=1)
        single_N = ((ids_NL > 0) & (ids_NL < FIRST + self.characters)).sum(axis=1)
        return dict(zip(self.watched, (pieces_N.astype(np.float64), single_N / np.maximum(pieces_N, 1)), strict=True))

    def _cut(self, words: list[str]) -> Encoding:
        return self._tokenizer.encode(words, is_pretokenized=True)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """What cuts words. It is no field, so it is neither compared nor stored."""
        from tokenizers import Tokenizer, models, normalizers
        from tokenizers.processors import BertProcessing

        pieces = self.pieces or ()
        places = {NO_PIECE: UNKNOWN, **{piece: place for place, piece in enumerate(pieces, start=FIRST)}}
        if self.pretrained:
            tokenizer = Tokenizer(models.WordPiece(places, unk_token=NO_PIECE))
            tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
            tokenizer.post_processor = BertProcessing((END, places[END]), (BEGIN, places[BEGIN]))
        else:
            # Of all pairs of neighbours, the pair whose piece was learnt first is merged first.
            pairs = [(piece[:at], piece[at:]) for piece in pieces for at in range(1, len(piece))]
            merges = [pair for pair in pairs if pair[0] in places and pair[1] in places]
            tokenizer = Tokenizer(models.BPE(places, merges, unk_token=NO_PIECE))
        tokenizer.enable_truncation(self.length or (LONGEST_SENTENCE if self.pretrained else LONGEST))
        return tokenizer
