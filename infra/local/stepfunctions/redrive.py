"""RedriveExecution: an execution goes on where it failed; states that succeeded, also in branches, are not run again.

moto has no such operation. Here every state that succeeds is noted (name, iteration, visit → output and next state);
a redrive runs the program again from its start and takes what is noted instead of evaluating it, so that it comes to
the failed states with the inputs they had. Taken states leave no events in the history, as on AWS.
Not covered: variables (Assign).
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramRunning

from infra.local.patching import replace
from infra.local.stepfunctions.executions import LocalExecution, Redriven

Visit = tuple[tuple[int, ...], str, int]
"""Map iterations from the outermost in, state name (unique in a machine), how often it was entered there before."""


class NotRedrivableError(AWSError):
    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


@dataclass(kw_only=True)
class Journal:
    """What succeeded in an execution so far."""

    taken: dict[Visit, tuple[Any, str | None]] = field(default_factory=dict)
    """Output and next state; None at an end."""
    visits: Counter[tuple[tuple[int, ...], str]] = field(default_factory=Counter)
    """Of the present run."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, state: str, env: Environment) -> Visit:
        where = iterations(env), state
        with self.lock:
            self.visits[where] += 1
            return (*where, self.visits[where] - 1)


def iterations(env: Any) -> tuple[int, ...]:
    """The Map iterations that `env` lies in."""
    found: list[int] = []
    inner = None
    while env is not None:
        item = env.states.context_object.context_object_data.get("Map")
        if item is not None and item is not inner:
            found.append(item["Item"]["Index"])
        inner, env = item, getattr(env, "outer", None)
    return tuple(reversed(found))


def install_journal() -> None:
    """Note each state that succeeds; take what is noted in a redriven run."""
    evaluate = CommonStateField._eval_body

    def evaluate_or_take(self: Any, env: Any) -> None:
        journal = _journal(env)
        visit = journal.enter(self.name, env)
        if visit in journal.taken:
            output, following = journal.taken[visit]
            env.states.reset(output)
            if following is None:
                env.set_ended()
            else:
                env.next_state_name = following
            return
        evaluate(self, env)
        state = env.program_state()
        if isinstance(state, ProgramRunning | ProgramEnded):
            following = state.next_state_name if isinstance(state, ProgramRunning) else None
            journal.taken[visit] = env.states.get_input(), following

    replace(CommonStateField, _eval_body=evaluate_or_take)
    _link_frames()


def _link_frames() -> None:
    """Frames know what they were opened in, and see `$$.Map` of it (moto hides it from tasks of an iteration)."""
    method: Any = Environment.as_inner_frame_of
    open_frame = method.__func__

    def opened(cls: Any, env: Any, *given: Any, **named: Any) -> Any:
        frame = open_frame(cls, env, *given, **named)
        frame.outer = env
        item = env.states.context_object.context_object_data.get("Map")
        if item is not None:
            frame.states.context_object.context_object_data["Map"] = item
        return frame

    replace(Environment, as_inner_frame_of=classmethod(opened))


def _journal(env: Any) -> Journal:
    while getattr(env, "outer", None) is not None:
        env = env.outer
    found: Journal = vars(env).setdefault("journal", Journal())
    return found


def redrive(execution: LocalExecution) -> datetime:
    """The time at which the execution goes on. Raises NotRedrivableError."""
    reason = execution.why_not_redrivable()
    if reason is not None:
        raise NotRedrivableError(reason)
    before: Any = execution.env
    execution.redrive_count += 1
    execution.redrive_date = execution.cloud.clock.now()
    execution.stop_date = execution.output = execution.error = execution.cause = None
    worker = execution.make_worker(Redriven)
    env: Any = worker._get_evaluation_environment()
    env.journal = Journal(taken=dict(_journal(before).taken))
    worker.env = env
    _continue_history(before.event_manager, env)
    execution.exec_worker = worker
    execution.exec_status = ExecutionStatus.RUNNING
    execution.closed = False
    execution.ended.clear()
    execution.tell()
    worker.start()
    when: datetime = execution.redrive_date
    return when


def _continue_history(before: EventManager, env: Any) -> None:
    events = before.get_event_history()
    env.event_manager._history_event_list.extend(events)
    env.event_manager._event_id_gen._next_id = len(events) + 1
    env.event_history_context = EventHistoryContext(previous_event_id=len(events))
