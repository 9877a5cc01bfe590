"""What a dossier is asked, and where each answer stands: a question names its evidence, and evidence its places.

A place is `file#/pointer` in a document of the folder, as `verify.resolve` reads it; `*` stands for each key. What no
record says is left to the owner, and nothing says that a version conforms to anything. The questions of the law:
https://eur-lex.europa.eu/eli/reg/2024/1689/oj, Annex IV and Article 17(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Kind = Literal["declared", "recorded", "verified"]
"""Whose word a line is:

- `declared`: people wrote it, and it was signed as they wrote it; whether it is true is theirs to say.
- `recorded`: the stage says so today, and nobody else can check it.
- `verified`: it was measured or recorded, and verify.py finds it in a document that was signed, or in the audit."""


class Evidence(NamedTuple):
    """What the records say of one thing."""

    title: str
    places: str = ""
    """Where it stands, with a space between two places."""
    events: str = ""
    """The events of the audit that belong to it: each record is shown. `rows.*` are all that begin so."""


class Question(NamedTuple):
    """One element of a law, or one question of a buyer."""

    number: str
    asks: str
    evidence: str = ""
    """Keys of EVIDENCE, with a space between two; the owner alone can answer without any."""
    owners: str = ""
    """What no record can say, so that the owner has to add it; empty for nothing."""


MODEL = "bom.cdx.json#/metadata/component/modelCard/modelParameters"
EVIDENCE: Mapping[str, Evidence] = {
    "use": Evidence("What it is for", "workload.json#/owner workload.json#/card/*"),
    "duties": Evidence("Who answers for what", "workload.json#/owner workload.json#/duties/*"),
    "version": Evidence(
        "Which version it is",
        "model.sig#/subject/0/name model.sig#/subject/0/digest/* model.sig#/predicate/resources/*/name",
    ),
    "interface": Evidence(
        "What goes in and comes out",
        f"workload.json#/prediction/* workload.json#/consumers/* {MODEL}/inputs/* {MODEL}/outputs/*",
    ),
    "software": Evidence("Which software it is made of", "bom.cdx.json#/components/*/bom-ref"),
    "hardware": Evidence(
        "What it runs on",
        "workload.json#/training/instance/* workload.json#/rollout/instance/* evaluation.json#/latency_ms/*",
    ),
    "training": Evidence(
        "How it was trained",
        "workload.json#/training/* card.json#/training_details/training_observations "
        "card.json#/training_details/training_job_details/hyper_parameters/* model.sig#/predicate/digests/code_digest "
        "provenance.sig#/predicate/buildDefinition/resolvedDependencies/* provenance.sig#/predicate/runDetails/*",
    ),
    "data": Evidence(
        "Which data it was trained on",
        "contract.json#/description/* contract.json#/schema/*/properties/*/name "
        "bom.cdx.json#/components/0/version bom.cdx.json#/components/0/data/0/name "
        "model.sig#/predicate/digests/data_digest",
    ),
    "corrections": Evidence("What was taken out of the data, corrected or held", events="rows.* labels.*"),
    "evaluation": Evidence(
        "How good it is, on rows kept for the test",
        "evaluation.json#/task evaluation.json#/error/name evaluation.json#/rows/* evaluation.json#/split/* "
        "evaluation.json#/metrics/* evaluation.json#/intervals/* evaluation.json#/naive/* "
        "evaluation.json#/contenders/*",
    ),
    "groups": Evidence(
        "How good it is for each group, and when its input is damaged",
        "evaluation.json#/slices/slices/* evaluation.json#/fairness/groups/* "
        "evaluation.json#/fairness/disparities/* evaluation.json#/robustness/damaged/*",
    ),
    "gates": Evidence("What a model has to pass, and what passed", "workload.json#/gates/*", events="model.*"),
    "oversight": Evidence(
        "Which answers people give, and what people decided",
        "workload.json#/policy/* workload.json#/rollout/approval evaluation.json#/automation/*",
        events="release.approved release.refused automation.*",
    ),
    "changes": Evidence(
        "How it changes, and what changed",
        "workload.json#/retraining/* workload.json#/rollout/phases",
        events="retrain.* phase.passed release.live",
    ),
    "monitoring": Evidence("How it is watched", "workload.json#/monitors/*"),
    "incidents": Evidence(
        "What went wrong, and what was done",
        events="incident.* release.rolled_back release.failed phase.stopped floor.* alarm.* run.*",
    ),
    "security": Evidence("What was signed", "model.sig#/predicate/digests/*"),
    "audit": Evidence("The records of decisions", "audit.jsonl#/*/record/event/S"),
}
"""What the records say, by a key that questions name."""
QUESTIONS: Mapping[str, Sequence[Question]] = {
    "EU AI Act, Annex IV: technical documentation": (
        Question("1(a)", "Purpose, provider, version", "use version"),
        Question("1(b)", "What it interacts with", "interface", "other systems around it"),
        Question("1(c)", "Versions of software and firmware", "software"),
        Question("1(d)", "Forms in which it is put on the market"),
        Question("1(e)", "Hardware it runs on", "hardware"),
        Question("1(f)", "Photographs, where it is part of a product"),
        Question("1(g)", "User interface of the deployer"),
        Question("1(h)", "Instructions for use", "use interface", "the instructions"),
        Question("2(a)", "How it was developed; pre-trained parts", "training software", "what came before"),
        Question("2(b)", "Design, and what it optimises", "training interface", "why so"),
        Question("2(c)", "Architecture and computing", "interface hardware training"),
        Question(
            "2(d)", "Data: provenance, labelling, cleaning", "data corrections", "how it was got, who labelled it"
        ),
        Question("2(e)", "Human oversight", "duties oversight", "who is trained for it"),
        Question("2(f)", "Changes determined before", "changes"),
        Question("2(g)", "Validation and tests: data, metrics, reports", "evaluation groups gates", "who signs them"),
        Question("2(h)", "Cybersecurity", "security", "all but the signed digests"),
        Question(
            "3", "Capabilities, limits, accuracy", "use evaluation groups oversight", "risks to rights and health"
        ),
        Question("4", "Why these metrics", "evaluation gates", "why they suit the use"),
        Question("5", "Risk management", "use", "all but the declared risk"),
        Question("6", "Changes through its life", "changes incidents"),
        Question("7", "Harmonised standards applied"),
        Question("8", "EU declaration of conformity"),
        Question("9", "Monitoring after it is on the market", "monitoring incidents", "the plan of Article 72"),
    ),
    "EU AI Act, Article 17(1): the elements of quality management, as prEN 18286 has them": (
        Question("(a)", "Strategy for compliance"),
        Question("(b)", "Control of the design", "gates", "the procedures"),
        Question("(c)", "Control of the development", "training gates changes", "the procedures"),
        Question("(d)", "Tests before, during and after the development", "evaluation gates monitoring"),
        Question("(e)", "Specifications and standards"),
        Question("(f)", "Data management", "duties data corrections", "the procedures before a drop"),
        Question("(g)", "Risk management", "use", "all but the declared risk"),
        Question("(h)", "Monitoring on the market", "duties monitoring incidents", "the plan of Article 72"),
        Question("(i)", "Serious incidents", "duties incidents", "which were reported, and to whom"),
        Question("(j)", "Communication with authorities"),
        Question("(k)", "Records", "audit security"),
        Question("(l)", "Resources and supply", "software hardware", "suppliers and people"),
        Question("(m)", "Who answers for what", "duties oversight", "the other duties"),
    ),
    "What a buyer asks": (
        Question("1", "What is it for, and what not?", "use"),
        Question("2", "How good is it, measured on what?", "evaluation"),
        Question("3", "Is it as good for every group?", "groups"),
        Question("4", "What was it trained on?", "data training", "the right to use it"),
        Question("5", "Is our data used for training?"),
        Question("6", "Was data taken out again?", "corrections"),
        Question("7", "What is it made of?", "software"),
        Question("8", "Who lets a version live, on which evidence?", "gates oversight changes"),
        Question("9", "When does a person decide?", "oversight"),
        Question("10", "How do you see that it gets worse?", "monitoring"),
        Question("11", "What went wrong so far?", "incidents"),
        Question("12", "Can these records be altered?", "audit security"),
        Question("13", "Terms, insurance, certificates, subprocessors"),
    ),
}
"""The questions of each scheme, in its order."""
