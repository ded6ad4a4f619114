"""Warnings of the library."""


class ConvergenceWarning(UserWarning):
    """A solver stopped before it reached its tolerance; its result says so in a ``converged`` flag."""
