"""The gates that a model must pass before it is registered: one gate per file; each judgement is a `Verdict`."""
