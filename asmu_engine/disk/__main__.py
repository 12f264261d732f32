"""Entry of ``python -m asmu_engine.disk``."""

import os
import signal

# Before the imports, because numpy starts threads of its own: a signal that a single thread does not block ends the
# process, and `main` waits for this one.
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies matrices

from asmu_engine.disk.main import main

if __name__ == "__main__":
    main()
