"""May it? Pure decisions over a policy document; only `load.py` reads YAML."""
