"""The pages: one blueprint file per noun."""
