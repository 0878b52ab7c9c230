"""Nightly batch features, scoring and drift on Spark and Delta, from a folder of definitions."""
