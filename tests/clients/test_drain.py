"""A small slice of tests/lab/drain.py: a queue for many destinations, some of them dead, drained through kills."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import drain  # noqa: E402


class DrainTest(unittest.TestCase):
    def test_a_long_queue_survives_kills_and_the_dead(self):
        result = drain.drain(messages=800, destinations=40, dead=4, kills=2, seed=7, limit=240)
        self.assertEqual(result.problems, [])
        self.assertEqual(result.kills, 2)
        self.assertLess(result.memory_mb, 400)


if __name__ == "__main__":
    unittest.main()
