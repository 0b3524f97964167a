"""Which hosts? The sandbox's only way out, served by the host on sockets of the sandbox's namespace."""
