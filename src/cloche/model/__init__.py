"""The words of Cloche: frozen values, standard library only, no input or output."""
