"""Static files with a hash of their content in their names, so that browsers keep them for a year."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True  # imports between the modules of the client name the hashes too
    max_post_process_passes = 20  # above the longest chain of imports: a name depends on those that it imports

    def stored_name(self, name: str) -> str:
        """Return the name with its hash; without it where `collectstatic` has not run, as in unit tests."""
        if not self.hashed_files:
            return name
        stored: str = super().stored_name(name)
        return stored
