"""Random system calls, made inside a sandbox by a program of the standard library alone.

Travels as one archive; `tests.fuzz.calls` starts it and watches the host meanwhile.
"""
