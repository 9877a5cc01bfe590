"""Who may do what: roles, policies, and what each call needs."""
