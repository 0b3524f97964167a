"""Attacks: processes."""
