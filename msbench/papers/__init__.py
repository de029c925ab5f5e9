"""The papers' comparisons: each published table as data, the runs that it asks for, and ours beside it."""
