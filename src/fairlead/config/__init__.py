"""From a YAML or JSON file to validated settings, with every mistake named at its line, and on to a wired session."""
