"""Attacks on a sandbox, run inside one: standard library only, so that any sandbox with a Python can be tried.

Harmless wherever they run: an attack shows that a door is open and leaves what
is behind it as it was.
"""
