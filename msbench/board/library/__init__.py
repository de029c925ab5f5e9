"""Pages beside the boards: methods, datasets, plugins, papers' tables, metrics, how to read it all, and changes."""
