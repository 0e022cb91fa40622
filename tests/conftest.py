"""What all tests share."""

from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does: no property is about that.
settings.register_profile("genaiops", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("genaiops")
