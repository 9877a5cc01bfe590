"""The commands of people who decide: `millrace review` and `labels`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from millrace.console.cli.options import Json, Reason, Target
from millrace.console.cli.printing import show_rows, tell

if TYPE_CHECKING:
    from millrace.console.actions.reviews import Reviewer
    from millrace.console.environment import Environment
    from millrace.console.queries.reviews import ShownItem
    from millrace.decisions.review import ReviewItem
    from millrace.names import WorkloadNames
    from millrace.state.reviews import Held


KEYS = "s skip, p NOTE pass on, u take the last answer back, ? why the model says so, g the guideline, q quit"


def review(
    target: Target,
    as_json: Json,
    listed: Annotated[bool, typer.Option("--list", help="Only list what waits, in its order.")] = False,
    answer: Annotated[
        tuple[str, str], typer.Option(metavar="ID VALUE", help="Answer this decision, and ask nothing.")
    ] = ("", ""),
    mine: Annotated[
        bool, typer.Option("--mine", help="Show your own answers, with what others and later labels say.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Items or answers at most that are listed.")] = 100,
) -> None:
    """Decide what waits for a person: each item is shown, and your answer becomes a label.

    Example: millrace review. Type the answer or the number of a class; with --answer ID VALUE nothing is asked."""
    from millrace.console.queries.decisions import words_of
    from millrace.console.queries.reviews import list_waiting

    environment, names = target.find_deployed()
    if listed:
        items = list_waiting(environment, names, limit=limit)
        words = words_of(names)[0]
        show_rows([_listed(item, words) for item in items], as_json=as_json, nothing="Nothing waits for a person.")
        return
    if mine:
        from millrace.console.queries.own_answers import find_own_answers

        answers = find_own_answers(environment, names, environment.identity(), limit=limit)
        show_rows([one.cells for one in answers], as_json=as_json, nothing="No answer of yours is final yet.")
        return
    from millrace.console.actions.reviews import Reviewer, value_of

    reviewer = Reviewer.of(environment, names, source="terminal")
    if not answer[0]:
        _session(reviewer)
        return
    value = value_of(answer[1], reviewer.question)
    item = reviewer.answer(reviewer.take(answer[0]), value, seconds=0)
    reviewer.finish()
    document = {"id": item.id, "value": value, "by": reviewer.by}
    tell(f"{item.id}: {answer[1]}; its label has been dropped", document, as_json=as_json)


def _listed(item: ReviewItem, words: Mapping[Any, str]) -> dict[str, object]:
    from millrace.tasks.answer import in_words

    return {
        "id": item.id,
        "reason": item.reason,
        "answer": in_words(item.output, words) if item.output else "",
        "version": item.model_version or "",
        "event_time": item.event_time,
        "opened_at": item.opened_at,
        "expires_at": item.expires_at,
        "note": item.note,
    }


def _session(reviewer: Reviewer) -> None:
    """Show one item after the other until nothing waits or the person quits. The last answers' labels are dropped."""
    from millrace.console.actions.reviews import LabelTimer
    from millrace.console.queries.agreement import agreement_in_words

    if agreement := agreement_in_words(reviewer.environment, reviewer.names):
        print(agreement)
    last, held, labels = "", reviewer.next(), LabelTimer(reviewer)
    try:
        while held:
            shown, (held, last) = held.item.id, _one(reviewer, held, last)
            if last == shown:
                labels.add()
        print("Nothing waits for you." if held is None else "", end="\n")
    except (EOFError, KeyboardInterrupt):
        if held:
            reviewer.release(held)
    finally:
        labels.stop()
        dropped = reviewer.finish()
        print(f"{dropped:,} labels dropped")


def _one(reviewer: Reviewer, held: Held, last: str) -> tuple[Held | None, str]:
    """Ask about one item. Returns the next one, and the id of the last one that was answered."""
    from millrace.console.actions.reviews import value_of
    from millrace.console.queries.reviews import count_waiting, explain_item, show_item
    from millrace.errors import ReviewError

    environment, names = reviewer.environment, reviewer.names
    shown = show_item(environment, names, held.item)
    _show(shown, waiting=count_waiting(environment, names).count)
    began = time.monotonic()
    while True:
        typed = input("> ").strip()
        word, _, rest = typed.partition(" ")
        if typed == "q":
            raise EOFError
        try:
            if typed == "?":
                _explain(explain_item(environment, names, held.item))
                continue
            if typed == "g":
                print(reviewer.question.guideline.text or "no guideline: policy.review.guideline declares one")
                continue
            if typed == "s":
                reviewer.skip(held)
            elif word == "p":
                reviewer.escalate(held, note=rest)
            elif typed == "u":
                back = reviewer.undo(last)
                reviewer.release(held)
                return back, ""
            else:
                keys = shown.question.keys
                value = keys[typed] if typed in keys else value_of(typed, shown.question)
                reviewer.answer(held, value, seconds=time.monotonic() - began)
                last = held.item.id
        except ReviewError as error:
            print(error)
            continue
        return reviewer.next(), last


def _show(shown: ShownItem, *, waiting: int) -> None:
    item = shown.item
    who = "in place of a model" if item.model_version is None else "the model"
    who = f"version {item.model_version}, which is not live yet" if item.is_challengers else who
    model = "hidden, so that it influences nobody" if item.is_blind else shown.answer_in_words
    note = f" · {item.note}" if item.note else ""
    print(f"\n{waiting:,} wait · {item.reason}{note} · about {item.event_time:%Y-%m-%d %H:%M} · {who}: {model}")
    show_rows([{"column": name, "value": cell} for name, cell in shown.row.items()], as_json=False, nothing="")
    for name, content in shown.images.items():
        print(f"{name}: an image of {len(content):,} bytes")
    keys = {str(shown.question.label.word(choice)): key for key, choice in shown.question.keys.items()}
    print("  ".join(f"{key}) {word}" if key != word else word for word, key in keys.items()))
    print(KEYS)


def _explain(found: dict[str, object] | None) -> None:
    from millrace.console.presenters.gates import contribution_rows

    if found is None:
        print("there is no explanation of this answer")
        return
    show_rows(contribution_rows(found), as_json=False, nothing="")


def held(
    target: Target,
    as_json: Json,
    accept: Annotated[str, typer.Option(metavar="DROP", help="Let this drop into its table.")] = "",
    refuse: Annotated[str, typer.Option(metavar="DROP", help="Never take this drop.")] = "",
    reason: Reason = "",
) -> None:
    """Show the drops that were held, for a rule of the contract or for labels that do not fit; accept or refuse one.

    Example: millrace held --accept june.csv --reason "a new tariff". DROP is its id, or the end of its key."""
    from millrace.console.actions.approve import DROP_SHORT, decide, find_held

    if accept and refuse:
        raise typer.BadParameter("expected one of --accept and --refuse, got both", param_hint="--accept")
    environment, names = target.find_deployed()
    if not (accept or refuse):
        rows = [
            {
                "drop": one.object.drop_id if as_json else one.object.drop_id[:DROP_SHORT],
                "key": one.object.key,
                "rows": one.rows,
                "came": one.held_at,
                "because": "; ".join(one.because),
                "status": one.status,
                "by": one.by,
                "reason": one.reason,
            }
            for one in find_held(environment, names)
        ]
        show_rows(rows, as_json=as_json, nothing="No drop was held.")
        return
    status: Literal["accepted", "refused"] = "accepted" if accept else "refused"
    drop, run = decide(environment, names, accept or refuse, status, reason=reason)
    document = {"drop": drop.object.drop_id, "key": drop.object.key, "status": status, "run": run}
    tell(f"{drop.object.key}: {status}" + (f"; run {run} takes it" if run else ""), document, as_json=as_json)


def labels(target: Target, as_json: Json) -> None:
    """Show the labels that contradict the model most, and what people said who were asked about them.

    Example: millrace labels"""
    environment, names = target.find_deployed()
    nothing = "No monitor run has found a label to doubt; without policy.label_errors_a_day none looks for one."
    show_rows(list(_doubted(environment, names, as_json=as_json)), as_json=as_json, nothing=nothing)


def _doubted(environment: Environment, names: WorkloadNames, *, as_json: bool) -> Iterator[dict[str, Any]]:
    from millrace.console.queries.decisions import words_of
    from millrace.console.queries.labels import find_label_errors

    column = words_of(names)[1]
    for one in find_label_errors(environment, names):
        yield {
            "decision": one.label.id,
            "about": one.label.event_time,
            "label": one.label.label if as_json else column.word(one.label.label),
            "doubt": round(one.label.doubt, 4),
            "version": one.version,
            "status": one.outcome,
            "answer": one.item.outcome(column) if one.item and one.item.answer else "",
        }
