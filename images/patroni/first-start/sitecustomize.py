"""Runs when Python starts, before the agent's own first line, and only when a node starts for the first time.

Patroni's modules are loaded while the entry point makes the data directory, and while the DCS elects its leader. A Patroni
that finds no DCS sleeps for five seconds before it asks again, and where a whole cluster is started at once the DCS is ready
a moment later than Patroni. A node that is started again, after whatever a scenario has done to it, gets none of this.
"""

import functools
import importlib
import json
import os
import socket
import ssl
import time
import urllib.request

MAY_START = "/var/lib/postgresql/may-start"
WITHIN_S = 15.0
AGAIN_AFTER_S = 0.02


@functools.cache
def shown_to_etcd(authority, certificate, key):
    secured = ssl.create_default_context(cafile=authority)
    secured.load_cert_chain(certificate, key)
    return secured


def etcd_has_a_leader(host, section):
    secured = None
    if section.get("protocol") == "https":
        secured = shown_to_etcd(section["cacert"], section["cert"], section["key"])
    url = f"{section.get('protocol', 'http')}://{host}/health"
    with urllib.request.urlopen(url, timeout=0.5, context=secured) as answer:
        return json.load(answer).get("health") == "true"


def zookeeper_serves(host, _):
    name, port = host.rsplit(":", 1)
    with socket.create_connection((name, int(port)), timeout=0.5) as connection:
        connection.sendall(b"srvr")
        with connection.makefile("rb") as answer:
            return b"\nMode: " in answer.read()


def consul_has_a_leader(host, _):
    with urllib.request.urlopen(f"http://{host}/v1/status/leader", timeout=0.5) as answer:
        return json.load(answer) != ""


# How one member says that its DCS has a leader, by the section of the agent's configuration.
HAS_A_LEADER = {"etcd3": etcd_has_a_leader, "zookeeper": zookeeper_serves, "consul": consul_has_a_leader}

def says(has_a_leader, host, section):
    try:
        return has_a_leader(host, section)
    except (OSError, ValueError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + WITHIN_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(AGAIN_AFTER_S)


def wait():
    import patroni.__main__  # noqa: F401 (loaded for its own sake)
    import yaml

    with open("/etc/patroni/patroni.yml", encoding="utf-8") as file:
        configuration = yaml.safe_load(file)
    kind = next(kind for kind in HAS_A_LEADER if kind in configuration)
    importlib.import_module(f"patroni.dcs.{kind}")
    section = configuration[kind]
    hosts = section.get("hosts") or [section["host"]]
    wait_until(lambda: os.path.exists(MAY_START))
    wait_until(lambda: any(says(HAS_A_LEADER[kind], host, section) for host in hosts))


# What the agent starts is none of this file's business.
os.environ.pop("PYTHONPATH", None)
try:
    wait()
except Exception as error:  # The agent itself will say what is wrong, and better.
    print(f"not waited for the DCS before the first start: {error!r}", flush=True)
