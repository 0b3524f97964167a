"""Attacks: descriptors."""
