#!/bin/sh
# Main process of the service: runs the Patroni agent and outlives it, because a machine does not lose its
# database when the agent dies (the packaged unit has KillMode=process, and no restart). A hang-up starts the
# agent again; SIGTERM stops it cleanly.
set -eu
data=/var/lib/postgresql/data
copied=/var/lib/postgresql/prepared.copy
may_start=/var/lib/postgresql/may-start

# Where the topology names versions, the image has several.
if [ -r /etc/pgquake/versions ]; then choose-versions.sh; fi

# With TLS: PostgreSQL starts with no key that others can read.
if [ -d /etc/pgquake/tls ]; then
  install -d -m 700 /var/lib/postgresql/tls
  install -m 600 /etc/pgquake/tls/* /var/lib/postgresql/tls/
fi

# Where the topology has clocks prepared, the agent and all that it starts ask libfaketime for the time of day, which
# adds what this file says. Monotonic clocks, and so every timeout, go as the kernel's.
if [ -r /etc/patroni/clock ]; then
  # shellcheck disable=SC2016
  export LD_PRELOAD='/usr/$LIB/faketime/libfaketimeMT.so.1'
  export FAKETIME_TIMESTAMP_FILE=/etc/patroni/clock FAKETIME_CACHE_DURATION=1
  export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1 NO_FAKE_STAT=1
fi

# Rules of pg_hba.conf name addresses, which a host has only once it runs. Nobody else may see the passwords beside them.
configuration=/etc/patroni/patroni.yml
if grep -q '{address of ' $configuration; then
  expressions=$(sed -n 's/.*{address of \([^}]*\)}.*/\1/p' $configuration | sort -u | while read -r host; do
    echo "s/{address of $host}/$(getent ahostsv4 "$host" | sed -n '1s/ .*//p')/"
  done)
  (umask 077; sed "$expressions" $configuration > /var/lib/postgresql/patroni.yml)
  configuration=/var/lib/postgresql/patroni.yml
fi

first_start() {
  # The node that the plan chose as first primary gets the run's roles and passwords before it starts:
  # its history is then that of the others, and a little longer.
  install -d -m 700 "$data"
  cp -a /var/lib/postgresql/prepared/. "$data"
  postgres --single -j -D "$data" postgres < /etc/patroni/first-start.sql > /dev/null
  # Each further database gets its tables apart: a single-user server knows one database.
  for database in /etc/pgquake/databases/*.sql; do
    [ -r "$database" ] || continue
    name=${database##*/}
    postgres --single -j -D "$data" "${name%.sql}" < "$database" > /dev/null
  done
}

# With a folder from which Python loads modules first.
start_agent() {
  PYTHONPATH=${1:-} patroni "$configuration" &
  agent=$!
}

stop() {
  kill -TERM "$agent" 2>/dev/null || exit 0
  while kill -0 "$agent" 2>/dev/null; do wait "$agent" || true; done
  exit 0
}

if [ -e "$may_start" ]; then
  # Not the node's first start: whatever has become of its data since is Patroni's business.
  start_agent
else
  # It loads its modules while the data directory is made, and waits for the file.
  start_agent /usr/local/lib/pgquake/first-start
  if [ -r /etc/patroni/first-start.sql ]; then
    first_start
  else
    # What restore-prepared.sh takes as soon as there is a primary to follow.
    install -d -m 700 "$copied"
    cp -a /var/lib/postgresql/prepared/. "$copied"
  fi
  touch "$may_start"
fi
trap stop TERM INT
trap 'kill -0 "$agent" 2>/dev/null || start_agent' HUP
while :; do
  wait "$agent" || true
  if ! kill -0 "$agent" 2>/dev/null; then
    echo "the Patroni agent is gone; whatever it started is left alone" >&2
    # Until a signal comes.
    sleep 3600 & wait $! || true
  fi
done
