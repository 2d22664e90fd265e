"""What readers raise."""


class DataError(ValueError):
    """The data cannot be used as they are; the message names the file, the row and what to do."""
