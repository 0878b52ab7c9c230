"""How far today's values stand from a frozen reference, and whether that is more than noise."""
