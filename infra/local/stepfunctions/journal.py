"""Record what an execution has done, so that a redrive continues from there.

A redriven run walks the program again from its start. Each visit of a state is recorded with the ids of the events of
its beginning and, when it succeeded, its output and next state:

    first run:  A succeeded -> output kept;  B (Map): iteration 0 succeeded, iteration 1 failed
    redrive:    A restored, no new event;    B continues without a second MapStateStarted; 0 restored; 1 runs again

As on AWS, the next event links back to the first entry of the state, and its EnteredTime stays.
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
from infra.local.stepfunctions.error_names import TOO_LARGE

EventKey = tuple[str, int | None]
"""The type of an event that happens once in the life of a visit; for an iteration, with its index."""

_ONCE = {"ParallelStateStarted", "MapStateStarted", "MapIterationStarted", "MapIterationSucceeded"}


@dataclass(kw_only=True)
class Visit:
    """One time that a state was entered."""

    kind: str
    """`Map`, `Task`, …"""
    events: dict[EventKey, int] = field(default_factory=dict)
    """The ids of its events, of this run and of earlier ones."""
    reached: set[EventKey] = field(default_factory=set)
    """Those of them that the present run has reached: only the first time does an earlier event replace a new one."""
    entered_at: str = ""
    succeeded: bool = False
    output: Any = None
    following: str | None = None
    """The next state; None at an end."""
    last_event: int = 0
    inner: dict[int | None, Scope] = field(default_factory=dict)
    """By iteration; None for the branches of a Parallel."""

    def earlier_event(self, key: EventKey) -> int | None:
        """The id of the event of an earlier run, when this run reaches it for the first time."""
        return None if key in self.reached else self.events.get(key)

    def note(self, key: EventKey, event: int) -> None:
        if key[0] in ("ParallelStateStarted", "MapStateStarted") and key in self.reached:
            # Retried within this run: its branches and iterations all run again.
            self.inner.clear()
        self.events[key] = event

    def forget(self) -> None:
        """After a result that was too large: a redrive runs the branches that succeeded, too."""
        self.inner.clear()
        self.events = {key: event for key, event in self.events.items() if key[0] not in _ONCE}

    def for_redrive(self) -> Visit:
        inner = {index: scope.for_redrive() for index, scope in list(self.inner.items())}
        return replace(self, events=dict(self.events), reached=set(), inner=inner)


@dataclass(kw_only=True)
class Scope:
    """One run of a program: the machine's own, a Parallel's branches (no name is in two of them), an iteration's."""

    visits: dict[tuple[str, int], Visit] = field(default_factory=dict)
    """By state and how often it was entered before: a loop enters the same state several times."""
    entries: Counter[str] = field(default_factory=Counter)
    """Of the present run."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, state: str, kind: str) -> Visit:
        # The branches of a Parallel enter their states side by side, into one scope.
        with self.lock:
            self.entries[state] += 1
            return self.visits.setdefault((state, self.entries[state]), Visit(kind=kind))

    def for_redrive(self) -> Scope:
        """A copy with which a redriven run begins."""
        return Scope(visits={key: visit.for_redrive() for key, visit in list(self.visits.items())})


def scope_of(env: Any) -> Scope:
    """The record of the program that `env` evaluates.

    moto opens an inner environment per branch and iteration, without a link to its parent; `_link_frames` adds `outer`.
    The nearest parent that visits a Map or Parallel owns the scope: one per iteration, one for all branches.
    """
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
    """Record each visit; in a redriven run restore what succeeded, and continue what had begun."""
    _evaluate_or_restore()
    _add_events_once()
    _link_frames()


def _evaluate_or_restore() -> None:
    evaluate, take_input = CommonStateField._eval_body, CommonStateField._eval_state_input

    def evaluate_or_restore(self: Any, env: Any) -> None:
        # In the order of AWS's own history: a visit that succeeded writes no event and calls nothing, the program only
        # takes its output and goes to its next state; one that failed is evaluated anew, its earlier events are reused.
        visit = scope_of(env).enter(self.name, self.state_type.name)
        env.visit = env.event_history_context.visit = visit
        if visit.succeeded:
            _restore(visit, env)
            return
        try:
            evaluate(self, env)
        except FailureEventException as failure:
            if failure.failure_event.error_name and failure.failure_event.error_name.error_name == TOO_LARGE:
                visit.forget()
            raise
        _keep_result(visit, env)

    def keep_entry(self: Any, env: Any) -> None:
        state = env.states.context_object.context_object_data["State"]
        # A redriven run shows the time at which the state was entered first; `or` keeps it.
        env.visit.entered_at = state["EnteredTime"] = env.visit.entered_at or state["EnteredTime"]
        take_input(self, env)

    patching.replace(CommonStateField, _eval_body=evaluate_or_restore, _eval_state_input=keep_entry)


def _restore(visit: Visit, env: Any) -> None:
    env.states.reset(visit.output)
    env.event_history_context.source_event_id = visit.last_event
    if visit.following is None:
        env.set_ended()
    else:
        env.next_state_name = visit.following


def _keep_result(visit: Visit, env: Any) -> None:
    # Stopped, timed out, failed: nothing is kept, and a redrive evaluates the state again.
    state = env.program_state()
    if not isinstance(state, ProgramRunning | ProgramEnded):
        return
    visit.output, visit.last_event = env.states.get_input(), env.event_history_context.source_event_id
    visit.following = state.next_state_name if isinstance(state, ProgramRunning) else None
    visit.succeeded = True


def _add_events_once() -> None:
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
        key = _event_key(event_type, event_details)
        # Events are linked by `previousEventId` through two fields of the context. A reused event must move both to its
        # id, as adding it would have; else the next event links to the failure of the run before.
        known = visit.earlier_event(key) if visit and key else None
        if known is None:
            known = add(self, context, event_type, event_details, timestamp, update_source_event_id)
            if visit and key:
                visit.note(key, known)
        elif update_source_event_id:
            # No new event: later events link to the earlier one. A Fail state fails right after ExecutionRedriven.
            again = self.redriven if event_type == HistoryEventType.FailStateEntered else known
            context.source_event_id = context.last_published_event_id = again
        if visit and key:
            visit.reached.add(key)
        if event_type == HistoryEventType.ExecutionRedriven:
            self.redriven = known
        return known

    patching.replace(EventManager, add_event=add_once)


def _event_key(event_type: HistoryEventType, details: Any) -> EventKey | None:
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
    """Give inner environments a link to their parent, and its `$$.Map` (moto hides it from tasks of an iteration)."""
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
