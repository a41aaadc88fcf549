"""The local storage of the embedded stack: a directory, its signatures, and its two HTTP views."""
