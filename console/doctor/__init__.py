"""`millrace doctor`: compares this machine and the AWS account with what the templates require."""
