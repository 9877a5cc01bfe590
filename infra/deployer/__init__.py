"""What an administrator deploys once for a stage: its pipelines' roles, and what CloudFormation may do for them."""
