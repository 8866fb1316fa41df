"""Runs when Python starts, before the agent's own first line, and only when a node starts for the first time.

Patroni's modules are loaded while the entry point makes the data directory, and while etcd elects its leader. A Patroni that finds no etcd sleeps for five seconds before it asks again, and where a whole cluster is started at once
etcd is ready a moment later than Patroni. A node that is started again, after whatever a scenario has done to it, gets
none of this.
"""

import json
import os
import time
import urllib.request

MAY_START = "/var/lib/postgresql/may-start"
WITHIN_S = 15.0
AGAIN_AFTER_S = 0.02


def healthy(host):
    """Whether an etcd member says that its cluster has a leader."""
    try:
        with urllib.request.urlopen(f"http://{host}/health", timeout=0.5) as answer:
            return json.load(answer).get("health") == "true"
    except (OSError, ValueError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + WITHIN_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(AGAIN_AFTER_S)


def wait():
    import patroni.__main__  # noqa: F401 (loaded for its own sake)
    import patroni.dcs.etcd3  # noqa: F401
    import yaml

    with open("/etc/patroni/patroni.yml", encoding="utf-8") as file:
        hosts = yaml.safe_load(file)["etcd3"]["hosts"]
    wait_until(lambda: os.path.exists(MAY_START))
    wait_until(lambda: any(healthy(host) for host in hosts))


# What the agent starts is none of this file's business.
os.environ.pop("PYTHONPATH", None)
try:
    wait()
except Exception as error:  # The agent itself will say what is wrong, and better.
    print(f"not waited for etcd before the first start: {error!r}", flush=True)
