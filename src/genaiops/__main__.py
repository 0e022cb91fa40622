"""`python -m genaiops` is the command `genaiops`."""

import sys

from genaiops.cli import main

if __name__ == "__main__":
    sys.exit(main())
