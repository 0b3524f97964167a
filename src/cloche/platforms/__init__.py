"""Doing: one folder a system. With cloche_launch the only place for ctypes, fork and sys.platform."""
