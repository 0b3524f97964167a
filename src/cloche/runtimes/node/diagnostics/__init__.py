"""What npm, the type checker, the bundlers and the linter print, as diagnostics and progress."""
