"""Records what an execution has done, so that a redrive goes on from there.

A redriven run walks the program again from its start, over the record. Each visit of a state is recorded: the ids of
the events of its beginning and, if it succeeded, its output and its next state.

    first run:  A succeeded: output kept.    B (Map): iteration 0 succeeded, iteration 1 failed.
    redrive:    A is restored, no new event. B goes on without a second MapStateStarted: 0 is restored, 1 runs again.

As on AWS, a state that was entered before is not entered again in the history. Its next event links back to its first
entry, and its EnteredTime stays. Here a task G fails, and a redrive runs it again:

    id  type                previousEventId
     7  TaskStateEntered    6
     8  TaskScheduled       7
     9  TaskStarted         8
    10  TaskFailed          9
    11  ExecutionFailed     10
    12  ExecutionRedriven   11
    13  TaskScheduled       7

moto has no redrive. Three of its methods are wrapped here: the evaluation of a state, the writing of an event, and the
opening of an inner environment. All this may go when moto has RedriveExecution.
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

from localcloud.kernel import patching
from localcloud.stepfunctions.error_names import TOO_LARGE

EventKey = tuple[str, int | None]
"""The type of an event that a visit has once, and the index of its iteration: `("MapIterationStarted", 1)`.

Without an iteration: `("TaskStateEntered", None)`."""

# Besides the entry of a state, these are the events that a redrive does not write again.
_ONCE = {"ParallelStateStarted", "MapStateStarted", "MapIterationStarted", "MapIterationSucceeded"}


@dataclass(kw_only=True)
class Visit:
    """One visit: one time that the program entered a state, over all runs of the execution."""

    kind: str
    """`Map`, `Task`, …"""
    events: dict[EventKey, int] = field(default_factory=dict)
    """The ids of the visit's events, written in this run or in an earlier one: `{("TaskStateEntered", None): 7}`."""
    reached: set[EventKey] = field(default_factory=set)
    """The events that the present run has reached.

    An earlier event stands for a new one only the first time that a run reaches it. If the run reaches it again, which
    is a retry, the event is new."""
    entered_at: str = ""
    """The EnteredTime of the first run."""
    succeeded: bool = False
    output: Any = None
    following: str | None = None
    """The name of the next state; None if the program ends with this state."""
    last_event: int = 0
    """The id of the visit's last event, to which the next state's first event links."""
    inner: dict[int | None, Scope] = field(default_factory=dict)
    """The records of inner programs: by the iteration's index for a Map, under None for the branches of a Parallel."""

    def note(self, key: EventKey, event: int) -> None:
        """Keep the id of an event that was written now."""
        if key[0] in ("ParallelStateStarted", "MapStateStarted") and key in self.reached:
            # The state is retried within this run: all its branches and iterations run again.
            self.inner.clear()
        self.events[key] = event

    def forget(self) -> None:
        """Forget all branches and iterations. After a result that was too large, a redrive runs all of them again."""
        self.inner.clear()
        self.events = {key: event for key, event in self.events.items() if key[0] not in _ONCE}

    def for_redrive(self) -> Visit:
        """A copy with which a redriven run begins: it has reached none of the events."""
        # A thread of the former run may still write into the original: hence the copies, and `list`.
        inner = {index: scope.for_redrive() for index, scope in list(self.inner.items())}
        return replace(self, events=dict(self.events), reached=set(), inner=inner)


@dataclass(kw_only=True)
class Scope:
    """The record of one program: that of the machine, of one iteration of a Map, or of the branches of a Parallel.

    All branches share one record, since no name of a state is in two of them."""

    visits: dict[tuple[str, int], Visit] = field(default_factory=dict)
    """By the state's name and the number of the entry, from 1: `("Add", 2)`. A loop enters a state several times."""
    entries: Counter[str] = field(default_factory=Counter)
    """How often the present run has entered each state."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, state: str, kind: str) -> Visit:
        """The visit of the state that the run enters now: the recorded one of an earlier run, or a new one."""
        # The branches of a Parallel enter their states side by side, into one record.
        with self.lock:
            self.entries[state] += 1
            return self.visits.setdefault((state, self.entries[state]), Visit(kind=kind))

    def for_redrive(self) -> Scope:
        """A copy with which a redriven run begins."""
        return Scope(visits={key: visit.for_redrive() for key, visit in list(self.visits.items())})


def scope_of(env: Any) -> Scope:
    """The record of the program that `env` evaluates. It is looked up once, and kept as the attribute `scope`.

    moto opens an inner environment for each branch and iteration, without a link to its parent. `_link_frames` adds the
    link `outer`. The nearest parent that visits a state (a Map or a Parallel) owns the record: one for each iteration,
    one for all branches.
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
    """Let moto record each visit. A redriven run restores the visits that succeeded, and goes on with the others."""
    _evaluate_or_restore()
    _add_events_once()
    _link_frames()


def _evaluate_or_restore() -> None:
    evaluate, take_input = CommonStateField._eval_body, CommonStateField._eval_state_input

    def evaluate_or_restore(self: Any, env: Any) -> None:
        # A visit that succeeded writes no event and calls nothing: the program takes its output and goes to its next
        # state. A visit that failed is evaluated anew, and its earlier events are reused.
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
        # A redriven run shows the time at which the state was first entered: `or` takes the earlier time if there is
        # one.
        env.visit.entered_at = state["EnteredTime"] = env.visit.entered_at or state["EnteredTime"]
        take_input(self, env)

    patching.replace(CommonStateField, _eval_body=evaluate_or_restore, _eval_state_input=keep_entry)


def _restore(visit: Visit, env: Any) -> None:
    """Leave the environment as the visit left it: the output, the id of the last event, the next state."""
    env.states.reset(visit.output)
    env.event_history_context.source_event_id = visit.last_event
    if visit.following is None:
        env.set_ended()
    else:
        env.next_state_name = visit.following


def _keep_result(visit: Visit, env: Any) -> None:
    """Keep what `_restore` needs, if the state has succeeded."""
    # After a stop, a time limit or a failure nothing is kept, and a redrive evaluates the state again.
    state = env.program_state()
    if not isinstance(state, ProgramRunning | ProgramEnded):
        return
    visit.output, visit.last_event = env.states.get_input(), env.event_history_context.source_event_id
    visit.following = state.next_state_name if isinstance(state, ProgramRunning) else None
    visit.succeeded = True


def _add_events_once() -> None:
    """Let a redriven run reuse the events of its visits: it gets their ids, and nothing is written."""
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
        # moto links each event to the one before through two fields of the context. A reused event must set both to its
        # id, as the writing of it would have done. Otherwise the next event links to the failure of the former run.
        known = visit.events.get(key) if visit and key and key not in visit.reached else None
        if known is None:
            known = add(self, context, event_type, event_details, timestamp, update_source_event_id)
            if visit and key:
                visit.note(key, known)
        elif update_source_event_id:
            # Nothing is written, and later events link to the earlier event. AWS's history of a Fail state differs: its
            # failure links to ExecutionRedriven.
            again = self.redriven if event_type == HistoryEventType.FailStateEntered else known
            context.source_event_id = context.last_published_event_id = again
        if visit and key:
            visit.reached.add(key)
        if event_type == HistoryEventType.ExecutionRedriven:
            self.redriven = known
        return known

    patching.replace(EventManager, add_event=add_once)


def _event_key(event_type: HistoryEventType, details: Any) -> EventKey | None:
    """The key of an event that a visit has once, or None for an event that each run writes."""
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
    """Give each inner environment a link to its parent, the parent's visit, and the parent's `$$.Map`.

    moto hides `$$.Map` from the tasks of an iteration."""
    # A class method: the function beneath it is called with whatever class opens the frame.
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
