"""`python -m genaiops.host`: rows in, outcomes out; `python -m genaiops.host serve …`: a worker of the server."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        from genaiops.host._serve import main as serve

        sys.exit(serve(sys.argv[2:]))
    from genaiops.host._main import main

    main()
