"""Judges every row once: which rows are accepted, which are quarantined and why, and whether a slice may be written."""
