"""Training, processing, transform and tuning jobs."""
