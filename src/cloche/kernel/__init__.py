"""The story of a request, told once: read `pipeline.py` first."""
