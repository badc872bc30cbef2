"""What crosses a border: frames, rows, files, manifests, settings."""
