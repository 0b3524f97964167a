"""Entry of `python -I -S .../cloche_launch`: puts the parent folder on the path and starts."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cloche_launch.zygote import serve

if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
