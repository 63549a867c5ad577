"""Bulk work on several machines: a pool of Ray actors; needs the extra `ray`. It knows no command line."""
