"""One module per command: options to dataclasses, one call, results to the console."""
