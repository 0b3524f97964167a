"""The attacks, a file a subject."""
