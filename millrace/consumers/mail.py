"""A consumer that is a topic of SNS, such as one with e-mail addresses: decisions are lines of a message."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right, arn_of
from millrace.names import Platform

PLAIN = re.compile(r"[\w.:+@/-]+")


class Mail(Consumer):
    """A topic of SNS. The decisions that come together are lines of one message, each with its id.

    Who reads may get a line twice, and gets no rows of dropped files.

    Example: `desk: {to: mail, topic: loans, actions: [review]}`"""

    takes_files: ClassVar[bool] = False
    to: Literal["mail"]
    topic: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,256}$")]
    """The name of a topic of the stage's account and region, or the ARN of a topic of another account."""

    def arn(self, platform: Platform) -> str:
        return arn_of(self.topic, platform, "sns")

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_put("sns:Publish", self.arn(platform))

    def connect(self, client: Client, platform: Platform) -> Act:
        sns = client("sns")

        def act(documents: Sequence[Document]) -> None:
            # SNS takes 256 KiB, which the documents of a message have at most: a line is shorter than its document.
            workload, many = documents[0]["workload"], len(documents)
            sns.publish(
                TopicArn=self.arn(platform),
                Subject=f"{workload}: {many} decision{'s' if many > 1 else ''}",
                Message="\n".join(map(_line, documents)),
            )

        return act


def _line(document: Document) -> str:
    """`r-7-0  automated (sure)  timestamp=1997-01-01T00:00:00  value=1 confidence=0.93`."""
    key, answer = (
        " ".join(f"{_plain(name)}={_plain(value)}" for name, value in document[part].items())
        for part in ("key", "answer")
    )
    return f"{_plain(document['id'])}  {document['action']} ({document['reason']})  {key}  {answer}"


def _plain(value: object) -> str:
    """A value as part of a line: whoever asks chooses keys, and a line feed in one would make a line of its own.

    Text of other characters than those of names and times is in quotes, with controls escaped: `"x\\nr-2"`."""
    text = str(value)
    if not isinstance(value, str) or PLAIN.fullmatch(text):
        return text
    shown = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)
