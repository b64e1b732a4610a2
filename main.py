"""FrankenJet API: the one entry point. `python main.py --help` lists the commands."""

import sys

from fastapi_application.cli.run import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
