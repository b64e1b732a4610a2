"""The service as it is scaled out, on one machine: API processes behind nginx, PgBouncer in transaction mode, a replica, a worker.

    make scale                          about nine minutes
    make scale SCALE_ARGS="--rounds 50 --without-tests"

It tells the story of an editor, reads each write back at every process, disturbs PgBouncer, and lets the test suite's part over
HTTP speak to the proxy. The configurations are those of `deploy/`, with the addresses of this machine. Needs nginx and PgBouncer
(Debian's will do); without them: NOT RUN, exit 75. Everything runs on servers of its own, which are removed at the end. Exit 1 if
something is not as it must be.
"""
