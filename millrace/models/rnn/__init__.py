"""Plain recurrent networks for one history, with the table's numbers and categories beside it."""
