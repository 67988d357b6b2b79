"""What lies on disk: checksummed folders, the store, checkpoints, digests, the cache folder."""
