"""All the bugs that the simulation has to find."""

from __future__ import annotations

from tests.simulation.planted_creates import DELIVERY, IDENTITY, MATCHING, RECONCILIATION
from tests.simulation.planted_keys import LIMITS, REST, ROTATION, UPDATES

PLANTED = (*IDENTITY, *MATCHING, *RECONCILIATION, *DELIVERY, *LIMITS, *UPDATES, *ROTATION, *REST)
