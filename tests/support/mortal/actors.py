"""Every doorbell, the trivial kind's too, in processes that may die at named points."""

import actors
from tests.support import mortal
from tests.support.trivial import actors as trivial

assert actors
assert trivial
mortal.arm()
