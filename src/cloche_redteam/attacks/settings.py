"""Attacks: settings."""
