"""What the SDK, NuGet and test hosts print, as findings."""
