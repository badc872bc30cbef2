"""The report: one self-contained HTML page that needs no network and no server."""
