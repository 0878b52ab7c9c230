"""Expectations judged in one pass; rows split into accepted and quarantined."""
