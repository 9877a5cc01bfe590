"""What one person has of one queue: the item that is shown, and the next one, already read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import RLock

from millrace.console.actions.reviews import LabelTimer, Reviewer, value_of
from millrace.console.queries.reviews import Question, ShownItem, show_item
from millrace.console.queries.stored import Unread, part
from millrace.errors import MillraceError, ReviewError
from millrace.state.reviews import Held


@dataclass(kw_only=True)
class OpenItem:
    """An item that this person has."""

    held: Held
    shown: ShownItem | Unread
    """Unread, if its row or its image cannot be read: then it can be skipped or passed on."""
    since: float | None = None
    """When it was shown, in seconds of the monotonic clock."""

    @property
    def seconds(self) -> float:
        """How long the person has looked at it."""
        return time.monotonic() - self.since if self.since is not None else 0.0


@dataclass(kw_only=True)
class ReviewSession:
    """One person at one queue. Requests come in several threads, and one of ours reads ahead."""

    reviewer: Reviewer
    message: str = ""
    """Why the last act was refused; shown once."""
    answered: list[str] = field(default_factory=list)
    """The decisions that were answered here, the newest last; each may be taken back for a while."""
    _items: deque[OpenItem] = field(default_factory=deque)
    _ahead: Future[OpenItem | None] | None = None
    _reader: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "reads-ahead"))
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self._labels = LabelTimer(self.reviewer)

    def current(self) -> OpenItem | None:
        """The item to be shown; None if none waits. The one after it is read meanwhile."""
        with self._lock:
            if self._ahead and (self._ahead.done() or not self._items):
                self._items.extend(filter(None, [self._read_ahead()]))
            # Others may have an item whose lease has ended.
            now = self.reviewer.environment.now()
            self._items = deque(item for item in self._items if item.held.ends_at > now)
            if not self._items:
                self._items.extend(filter(None, [self._take()]))
            if not self._items:
                return None
            if len(self._items) == 1 and self._ahead is None:
                self._ahead = self._reader.submit(self._take)
            item = self._items[0]
            item.since = item.since or time.monotonic()
            return item

    def act(self, what: str, decision: str, typed: Sequence[str], note: str) -> None:
        """Do what the person chose for the item of this decision. A refusal becomes the message."""
        with self._lock:
            try:
                if what == "undo":
                    self._undo()
                else:
                    self._decide(what, self._item(decision), typed, note)
            except ReviewError as error:
                self.message = str(error)

    def close(self) -> None:
        """Give back what the person has, and drop the labels of the answers."""
        with self._lock:
            # What could not be read ahead is nothing to give back.
            ahead = part(self._read_ahead)
            if isinstance(ahead, OpenItem):
                self._items.append(ahead)
            for item in self._items:
                self.reviewer.release(item.held)
            self._items.clear()
            self.answered.clear()
            self._labels.stop()
            self.reviewer.finish()

    def _item(self, decision: str) -> OpenItem:
        found = next((item for item in self._items if item.held.item.id == decision), None)
        if found is None:
            raise ReviewError(f"{decision}: expected the item that is shown, got one that is no longer yours")
        return found

    def _decide(self, what: str, item: OpenItem, typed: Sequence[str], note: str) -> None:
        if what == "skip":
            self.reviewer.skip(item.held)
        elif what == "escalate":
            self.reviewer.escalate(item.held, note=note)
        else:
            value = value_of(text_of(typed, self.reviewer.question), self.reviewer.question)
            self.reviewer.answer(item.held, value, seconds=item.seconds)
            self.answered.append(item.held.item.id)
            self._labels.add()
        self._items.remove(item)

    def _undo(self) -> None:
        if not self.answered:
            raise ReviewError("undo: expected an answer of this session, got none")
        held = self.reviewer.undo(self.answered.pop())
        # The item that was shown comes after it.
        self._items.appendleft(self._open(held))

    def _take(self) -> OpenItem | None:
        held = self.reviewer.next()
        return self._open(held) if held else None

    def _open(self, held: Held) -> OpenItem:
        environment, names = self.reviewer.environment, self.reviewer.names
        try:
            return OpenItem(held=held, shown=part(lambda: show_item(environment, names, held.item)))
        except (MillraceError, ValueError) as error:
            return OpenItem(held=held, shown=Unread(why=str(error)))

    def _read_ahead(self) -> OpenItem | None:
        ahead, self._ahead = self._ahead, None
        return ahead.result() if ahead else None


def text_of(typed: Sequence[str], question: Question) -> str:
    """The fields of the form as a person types them in a terminal.

    Of several labels the names that are ticked, and of several horizons a number each."""
    names = question.prediction.labels
    return ", ".join(f"{name}={'yes' if name in typed else 'no'}" for name in names) if names else ", ".join(typed)
