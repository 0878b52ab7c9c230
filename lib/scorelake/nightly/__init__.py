"""The graph of jobs of a night, what is done of it and what is missing."""
