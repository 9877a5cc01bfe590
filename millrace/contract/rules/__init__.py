"""The rules on cells: one file each, with how a contract declares it and both of its forms."""
