"""What cargo, rustc and test programs say, as diagnostics and progress."""
