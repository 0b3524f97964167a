"""Attacks: resources."""
