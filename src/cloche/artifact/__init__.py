"""What comes out: a package that says what is in it, and can be checked by anybody."""
