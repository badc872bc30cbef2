"""Settings of the whole suite."""

from hypothesis import settings

# Two workers share two cores: a deadline would measure the machine, not the code. The same examples every time, so that a
# failure in one place is a failure in all.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")
