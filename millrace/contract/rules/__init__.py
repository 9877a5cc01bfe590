"""The rules on cells. Each has a file, which says how a contract declares it and has both of its forms."""
