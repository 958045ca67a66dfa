"""Settings of hypothesis for the tests of pure code."""

from __future__ import annotations

from hypothesis import settings

# No deadline: on a busy machine a slow example says nothing about the code.
settings.register_profile("kadencia", deadline=None)
settings.load_profile("kadencia")
