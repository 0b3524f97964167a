"""Cloche: an execution kernel for code nobody trusts."""
