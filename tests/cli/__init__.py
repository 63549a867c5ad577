"""Tests of the command line: in this process where they can be, as real processes where they must be."""
