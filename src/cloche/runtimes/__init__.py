"""What to run: providers say it, they never do it."""
