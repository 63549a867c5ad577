"""Pictures to try the program on, and the programs that painted them."""
