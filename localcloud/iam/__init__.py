"""AWS IAM: who may do what, by roles, policies and the permissions that each call needs."""
