"""The service as it is scaled out, on one machine: two API processes behind nginx, PgBouncer in transaction mode, one worker.

    make scale                          the story of an editor, read-your-writes, and the test suite's part over HTTP
    make scale SCALE_ARGS="--rounds 50 --without-tests"

The configurations are those of `deploy/`, with the addresses of this machine. Needs nginx and PgBouncer (Debian's are fine);
without them: NOT RUN, exit 75. Everything runs on servers of its own, which are removed at the end. Exit 1 if something is not
as it must be.
"""
