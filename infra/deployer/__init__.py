"""What an administrator deploys once for a stage: the roles of its pipelines, and CloudFormation's rights."""
