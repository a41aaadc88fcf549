"""The child process: decodes untrusted files. Run as `python -m media.processing.child`; imports neither Django nor
the parent's code."""
