"""Attacks: ipc."""
