"""``python -m likewise``: the same program as the command ``likewise``."""

from likewise.cli import main

raise SystemExit(main())
