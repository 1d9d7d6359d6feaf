"""The one exception of the converter: one line that says what is wrong, where, and the remedy."""


class Refused(Exception):
    pass


def word(text, limit=60):
    """Foreign text made fit for a message: printable ASCII, cut, the rest as '?'."""
    shown = "".join(c if " " <= c <= "~" else "?" for c in text[:limit])
    return shown + ("..." if len(text) > limit else "")
