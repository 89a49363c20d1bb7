"""`python -m potok`, the same as `potok`."""

import sys

from potok.cli.main import main

sys.exit(main())
