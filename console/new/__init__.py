"""`millrace new`: a workload proposed from a file of labelled rows, by four ideas.

- read: the file as ingestion reads it (`read`), a `Source`
- columns: what each column holds (`columns`, with `words`, `times` and `numbers`), a `Profile`
- roles: label, key, event time and features, each with its reason (`roles`, `kinds`, `features`), a `Reading`
- declare: what fits the rows (`spans`, `rehearsal`, `families`, `trial`), a `Proposal`, and its files (`declare`,
  `writing`)

`proposal.propose` leads from a `Source` to a `Proposal`; `remarks` says what is conspicuous in it."""
