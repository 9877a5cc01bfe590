"""Evaluation: the artefact that would serve, judged on days that it has never seen."""
