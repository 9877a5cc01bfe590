"""What is kept between runs: the table of leases, slots, budget, cursors and release pointers, and the audit."""
