"""Settings of hypothesis for the tests of pure code."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: on a busy machine a slow example says nothing about the code. The same examples each
# time, so that a change is to blame for what fails; `tools/test --all` looks for others.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("exploring", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
