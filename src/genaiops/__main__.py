"""`python -m genaiops` is the command `genaiops`."""

from genaiops.cli import main

if __name__ == "__main__":
    main()
