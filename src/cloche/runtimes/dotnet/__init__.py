""".NET projects, by the SDK."""
