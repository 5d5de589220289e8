"""Files: atomic writes, names, run directories, claims and manifests. Imports only the standard library and errors."""
