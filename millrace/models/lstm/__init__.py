"""The family `lstm`: long short-term memory over one history, beside the table's numbers and categories."""
