#!/bin/sh
# Main process of the service: runs the Patroni agent and outlives it, because a machine does not lose its
# database when the agent dies (the packaged unit has KillMode=process).
set -eu
data=/var/lib/postgresql/data
if [ -r /etc/patroni/first-start.sql ] && [ ! -e "$data/PG_VERSION" ]; then
  # The node that the plan chose as first primary gets the run's roles and passwords before it starts:
  # its history is then that of the others, and a little longer.
  install -d -m 700 "$data"
  cp -a /var/lib/postgresql/prepared/. "$data"
  touch /var/lib/postgresql/prepared.used
  postgres --single -j -D "$data" postgres < /etc/patroni/first-start.sql > /dev/null
fi
patroni /etc/patroni/patroni.yml &
agent=$!
trap 'kill -TERM "$agent" 2>/dev/null || true' TERM INT
while kill -0 "$agent" 2>/dev/null; do
  wait "$agent" || true
done
if [ -e "$data/postmaster.pid" ]; then
  echo "the Patroni agent is gone; PostgreSQL is left alone" >&2
  trap 'exit 0' TERM INT
  while :; do sleep 3600 & wait $!; done
fi
