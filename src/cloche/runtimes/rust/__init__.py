"""Rust projects, by cargo."""
