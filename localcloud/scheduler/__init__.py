"""Amazon EventBridge Scheduler: what the clock starts."""
