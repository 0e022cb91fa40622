"""`python -m genaiops.host`: rows in, outcomes out; `… serve …`: a worker of the server; `… nursery …`: makes hosts."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        from genaiops.host._serve import main as serve

        sys.exit(serve(sys.argv[2:]))
    if sys.argv[1:2] == ["nursery"]:
        from genaiops.host._nursery import serve_nursery

        serve_nursery(*map(int, sys.argv[2:]))
        # From here on this is a host that was forked.
    from genaiops.host._main import main

    main()
