"""The families by name; this module needs no torch. Add a family: one folder in `millrace/models` and one line here."""

from __future__ import annotations

from millrace.models.bag.declaration import Bag
from millrace.models.cnn.declaration import Cnn
from millrace.models.feedforward.declaration import Feedforward
from millrace.models.multimodal.declaration import Multimodal
from millrace.models.multiscale.declaration import Multiscale
from millrace.models.parameters import Parameters
from millrace.models.recurrent.declaration import Gru, Lstm, Rnn
from millrace.models.transformer.declaration import Transformer

FAMILIES: dict[str, type[Parameters]] = {
    "feedforward": Feedforward,
    "cnn": Cnn,
    "gru": Gru,
    "rnn": Rnn,
    "lstm": Lstm,
    "multiscale": Multiscale,
    "bag": Bag,
    "transformer": Transformer,
    "multimodal": Multimodal,
}
