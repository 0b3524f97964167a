"""Attacks: network."""
