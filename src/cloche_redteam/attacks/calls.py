"""Attacks: calls."""
