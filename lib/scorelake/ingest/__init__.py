"""Landed drops into bronze tables, as received."""
