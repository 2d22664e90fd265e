"""The error of data that cannot be used."""


class DataError(ValueError):
    """The data cannot be used as they are; the message names the file, the row and what to do."""
