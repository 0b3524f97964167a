"""The inside program (Linux): started once, kept small, standard library only.

A second top-level package on purpose: it is run as `python -I -S`, it can be
read alone, and importing it never pulls in the kernel.
"""
