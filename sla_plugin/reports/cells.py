"""Cells of CSV: what people and helpdesks wrote may begin like a formula."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")  # how a text begins that a spreadsheet would carry out


def plain_cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; a number is none."""
    text = "" if value is None else str(value)
    if isinstance(value, int | float):
        return text
    return f"'{text}" if text.startswith(FORMULA) else text
