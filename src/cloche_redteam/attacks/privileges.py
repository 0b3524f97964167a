"""Attacks: privileges."""
