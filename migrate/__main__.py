"""The command `migrate` from its first moment, also as `python -m migrate`.

Nothing is loaded here before Ctrl-C and SIGTERM are held back: one that comes while the command line is loaded waits for it, which ends
as any interrupted command does (`migrate.cli.signals`), instead of in a traceback out of some library.
"""

import signal
import sys


def main() -> int:
    """Run the command of `sys.argv`; its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    from migrate.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
