"""`python -m cloche_redteam BAIT NAME...`: from inside, the attacks named, as JSON lines."""

import json
import sys

from cloche_redteam import corpus
from cloche_redteam.runner import run

if __name__ == "__main__":
    corpus.load()
    run(sys.argv[2:], json.loads(sys.argv[1]))
