"""What all tests share."""

from hypothesis import settings

# How long an example takes depends on what else the machine does: no property is about that.
settings.register_profile("genaiops", deadline=None)
settings.load_profile("genaiops")
