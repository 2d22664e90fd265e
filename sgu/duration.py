"""Durations in words."""


def duration(seconds: float) -> str:
    """Return a duration in words, from 1.5 minutes on in a larger unit than seconds."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def to_go(done: int, count: int, seconds: float) -> str:
    """Return how long the rest of `count` equal jobs will take, after `done` > 0 took `seconds`;
    empty at the end."""
    return f", {duration((count - done) * seconds / done)} to go" if done < count else ""
