"""What becomes of a file that the user and a run both changed."""

from enum import Enum


class Conflicts(Enum):
    """Who wins where both changed the same thing. Nothing of the user's is lost in any of them."""

    ABORT = "abort"
    """Nobody: nothing is committed, and what the run did is held."""
    THEIRS = "theirs"
    """The user: their version stays, and that change of the run is dropped."""
    OURS = "ours"
    """The run: its version goes in, and the user's is kept aside."""
