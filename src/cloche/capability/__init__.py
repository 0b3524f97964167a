"""Who says so? Capabilities: what a caller holds, never more than it was given."""
