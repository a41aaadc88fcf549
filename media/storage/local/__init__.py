"""Pictures in a local directory, for the embedded stack: the storage, its signatures and its two HTTP views."""
