"""For all tests: no example of a property has a time limit, since machines that run tests are shared and slow at times."""

from hypothesis import settings

settings.register_profile("kjax", deadline=None)
settings.load_profile("kjax")
