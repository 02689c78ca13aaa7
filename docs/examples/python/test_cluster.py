"""A Python test against a real cluster: onemore run 3 -- pytest -q   (or: onemore run 3 -- python3 -m unittest)"""

import json
import os
import subprocess
import unittest
import urllib.request


class ClusterTest(unittest.TestCase):
    def test_every_node_sees_all(self):
        nodes = int(os.environ["ONEMORE_NODES"])
        for address in os.environ["ONEMORE_HTTP"].split(","):
            with urllib.request.urlopen(f"http://{address}/status", timeout=5) as answer:
                self.assertEqual(json.load(answer)["members"], nodes)

    def test_a_node_is_lost(self):
        subprocess.run(["onemore", "kill", "2"], check=True, capture_output=True)
        status = subprocess.run(["onemore", "status", "--json"], check=True, capture_output=True)
        self.assertEqual(json.loads(status.stdout)["state"], "degraded")
        subprocess.run(["onemore", "start", "2"], check=True, capture_output=True)
        status = subprocess.run(["onemore", "status", "--json"], check=True, capture_output=True)
        self.assertEqual(json.loads(status.stdout)["state"], "running")


if __name__ == "__main__":
    unittest.main()
