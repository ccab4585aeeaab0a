"""Workers that die or stop in the middle of a call: another takes over, and the helpdesk counts one write. Time is given."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sla_plugin.jobs.outbox import LEASE
from sla_plugin.settings import Settings
from tests.faults.test_vendor import AUDITS, ONCE, World
from tests.journeys.foreign_desk import Fault
