"""Fuzzing, `make fuzz`: everything that reads a stranger's bytes, and system calls from inside a sandbox."""
