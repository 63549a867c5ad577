"""Documents, and the programs that build pages of them."""
