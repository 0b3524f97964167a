"""The red team: attacks that a user can run on their own machine, against Cloche and against its peers."""
