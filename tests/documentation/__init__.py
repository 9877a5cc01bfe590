"""README and docs/: their pages, and the tables in them that `make docs` writes from catalogues and declarations."""
