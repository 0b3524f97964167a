"""That a transaction cannot tear: one harness, which pytest runs short and `make crash` long."""
