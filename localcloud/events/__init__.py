"""Amazon EventBridge: rules that deliver events."""
