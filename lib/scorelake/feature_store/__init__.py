"""Feast as registry and contract, with our engine behind its interfaces."""
