"""Example pictures, and the programs that painted the styles among them."""
