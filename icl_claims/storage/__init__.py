"""Files: checksummed folders, a store of them, checkpoints, digests, the cache folder."""
