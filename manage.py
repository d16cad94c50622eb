#!/usr/bin/env python
"""Run a management command of the project."""

import sys

from project.commandline import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
