#!/bin/sh
# A node as it is without backups, or, with `restore`, a machine that waits for an operator to restore one on it.
set -eu
if [ -r /etc/pgquake/pgpass ]; then install -m 600 /etc/pgquake/pgpass /var/lib/postgresql/.pgpass; fi
if [ "${1:-}" != restore ]; then exec /usr/local/bin/entrypoint.sh "$@"; fi
# Where the topology names versions, the image has several.
if [ -r /etc/pgquake/versions ]; then choose-versions.sh; fi
# The server that an operator starts there is a child of nobody; it is reaped by the host's first process.
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $! || true; done
