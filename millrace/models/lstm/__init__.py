"""Networks of long short-term memory for one history, with the table's numbers and categories beside it."""
