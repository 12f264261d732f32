"""Entry of ``python -m asmu_engine``: a host."""

import sys

from asmu_engine.host.main import main

if __name__ == "__main__":
    sys.exit(main())
