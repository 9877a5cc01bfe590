"""What an execution has done so far, so that a redrive can go on from there.

Every visit of a state is noted where it happened (in the machine, a branch, an iteration) with the events that told of
its beginning and, when it succeeded, its output and next state. A redriven run walks the program again from its start:
what succeeded is taken from the notes, what had begun goes on without telling its beginning a second time, as on AWS:
its next event links back to its first entry, and its EnteredTime stays.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramRunning

from infra.local.kernel import patching

Mark = tuple[str, int | None]
"""The type of an event that is told once in the life of a visit; of an iteration with its index."""

_ONCE = {"ParallelStateStarted", "MapStateStarted", "MapIterationStarted", "MapIterationSucceeded"}
_TOO_LARGE = "States.DataLimitExceeded"


@dataclass(kw_only=True)
class Visit:
    """One time that a state was entered."""

    kind: str
    """`Map`, `Task`, …"""
    marks: dict[Mark, int] = field(default_factory=dict)
    """The ids of the events that it has told."""
    told: set[Mark] = field(default_factory=set)
    """Of them, those that the present run has come to."""
    entered_at: str = ""
    succeeded: bool = False
    output: Any = None
    following: str | None = None
    """The next state; None at an end."""
    last_event: int = 0
    inner: dict[int | None, Scope] = field(default_factory=dict)
    """By iteration; None for the branches of a Parallel."""

    def known(self, mark: Mark) -> int | None:
        """The event of an earlier run that told it already, when this run comes to it for the first time."""
        return None if mark in self.told else self.marks.get(mark)

    def note(self, mark: Mark, event: int) -> None:
        if mark[0] in ("ParallelStateStarted", "MapStateStarted") and mark in self.told:
            # Tried again: all of it runs anew.
            self.inner.clear()
        self.marks[mark] = event

    def forget(self) -> None:
        """A result that was too large: a redrive runs the branches that succeeded too."""
        self.inner.clear()
        self.marks = {mark: event for mark, event in self.marks.items() if mark[0] not in _ONCE}

    def resumed(self) -> Visit:
        inner = {index: scope.resumed() for index, scope in list(self.inner.items())}
        return replace(self, marks=dict(self.marks), told=set(), inner=inner)


@dataclass(kw_only=True)
class Scope:
    """One run of a program: the machine's own, a Parallel's branches (no name is in two of them), an iteration's."""

    visits: dict[tuple[str, int], Visit] = field(default_factory=dict)
    """By state and how often it was entered before."""
    entries: Counter[str] = field(default_factory=Counter)
    """Of the present run."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, state: str, kind: str) -> Visit:
        with self.lock:
            self.entries[state] += 1
            return self.visits.setdefault((state, self.entries[state]), Visit(kind=kind))

    def resumed(self) -> Scope:
        """What a redriven run begins with."""
        return Scope(visits={key: visit.resumed() for key, visit in list(self.visits.items())})


def scope_of(env: Any) -> Scope:
    """Where the states that `env` evaluates are noted."""
    known: Scope | None = vars(env).get("scope")
    if known is not None:
        return known
    outer = getattr(env, "outer", None)
    while outer is not None and "visit" not in vars(outer):
        outer = getattr(outer, "outer", None)
    if outer is None:
        env.scope = Scope()
    else:
        visit: Visit = outer.visit
        index = env.states.context_object.context_object_data["Map"]["Item"]["Index"] if visit.kind == "Map" else None
        env.scope = visit.inner.setdefault(index, Scope())
    scope: Scope = env.scope
    return scope


def keep_journal() -> None:
    """Note each visit; in a redriven run take what succeeded, and go on with what had begun."""
    _evaluate_or_take()
    _tell_once()
    _link_frames()


def _evaluate_or_take() -> None:
    evaluate, take_input = CommonStateField._eval_body, CommonStateField._eval_state_input

    def evaluate_or_take(self: Any, env: Any) -> None:
        visit = scope_of(env).enter(self.name, self.state_type.name)
        env.visit = env.event_history_context.visit = visit
        if visit.succeeded:
            _take(visit, env)
            return
        try:
            evaluate(self, env)
        except FailureEventException as failure:
            if failure.failure_event.error_name and failure.failure_event.error_name.error_name == _TOO_LARGE:
                visit.forget()
            raise
        _conclude(visit, env)

    def keep_entry(self: Any, env: Any) -> None:
        state = env.states.context_object.context_object_data["State"]
        env.visit.entered_at = state["EnteredTime"] = env.visit.entered_at or state["EnteredTime"]
        take_input(self, env)

    patching.replace(CommonStateField, _eval_body=evaluate_or_take, _eval_state_input=keep_entry)


def _take(visit: Visit, env: Any) -> None:
    env.states.reset(visit.output)
    env.event_history_context.source_event_id = visit.last_event
    if visit.following is None:
        env.set_ended()
    else:
        env.next_state_name = visit.following


def _conclude(visit: Visit, env: Any) -> None:
    state = env.program_state()
    if not isinstance(state, ProgramRunning | ProgramEnded):
        return
    visit.output, visit.last_event = env.states.get_input(), env.event_history_context.source_event_id
    visit.following = state.next_state_name if isinstance(state, ProgramRunning) else None
    visit.succeeded = True


def _tell_once() -> None:
    add = EventManager.add_event

    def add_once(
        self: Any,
        context: Any,
        event_type: HistoryEventType,
        event_details: Any = None,
        timestamp: Any = None,
        update_source_event_id: bool = True,
    ) -> int:
        visit: Visit | None = getattr(context, "visit", None)
        mark = _mark(event_type, event_details)
        known = visit.known(mark) if visit and mark else None
        if known is None:
            known = add(self, context, event_type, event_details, timestamp, update_source_event_id)
            if visit and mark:
                visit.note(mark, known)
        elif update_source_event_id:
            # A Fail state that is come to again fails right after the redrive.
            again = self.redriven if event_type == HistoryEventType.FailStateEntered else known
            context.source_event_id = context.last_published_event_id = again
        if visit and mark:
            visit.told.add(mark)
        if event_type == HistoryEventType.ExecutionRedriven:
            self.redriven = known
        return known

    patching.replace(EventManager, add_event=add_once)


def _mark(event_type: HistoryEventType, details: Any) -> Mark | None:
    name = event_type.value
    if name.endswith("StateEntered"):
        return name, None
    if name not in _ONCE:
        return None
    iteration = (details or {}).get("mapIterationStartedEventDetails") or (details or {}).get(
        "mapIterationSucceededEventDetails"
    )
    return name, iteration["index"] if iteration else None


def _link_frames() -> None:
    """Frames know what they were opened in, and see `$$.Map` of it (moto hides it from tasks of an iteration)."""
    method: Any = Environment.as_inner_frame_of
    open_frame = method.__func__

    def opened(cls: Any, env: Any, *given: Any, **named: Any) -> Any:
        frame = open_frame(cls, env, *given, **named)
        frame.outer = env
        frame.event_history_context.visit = getattr(env.event_history_context, "visit", None)
        item = env.states.context_object.context_object_data.get("Map")
        if item is not None:
            frame.states.context_object.context_object_data["Map"] = item
        return frame

    patching.replace(Environment, as_inner_frame_of=classmethod(opened))
