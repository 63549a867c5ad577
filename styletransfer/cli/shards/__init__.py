"""The option --shards: contents in tar archives, and an archive of results from each."""
