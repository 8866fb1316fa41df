#!/bin/sh
# Main process of the service: runs PostgreSQL and outlives it, because a machine outlives its database, and Debian's
# unit of PostgreSQL starts it when the machine boots and at no other time. A hang-up starts it again, as an operator
# does; SIGTERM stops it in order.
#
#   entrypoint.sh                 the first primary
#   entrypoint.sh PRIMARY SLOT    a standby, copied from PRIMARY, which keeps WAL for it in this slot
set -eu
data=/var/lib/postgresql/data
made=/var/lib/postgresql/made
server=

# `manual` in this file keeps a machine that boots from starting its database, as in Debian's packaging.
starts_at_boot() {
  [ "$(cat /etc/postgresql/start.conf 2> /dev/null)" != manual ]
}

make_primary() {
  # It gets the run's roles and passwords, the ledger and the standbys' slots before it starts.
  install -d -m 700 "$data"
  cp -a /var/lib/postgresql/prepared/. "$data"
  postgres --single -j -D "$data" postgres < /etc/postgresql/first-start.sql > /dev/null
  # Each further database gets its tables apart: a single-user server knows one database.
  for database in /etc/pgquake/databases/*.sql; do
    [ -r "$database" ] || continue
    name=${database##*/}
    postgres --single -j -D "$data" "${name%.sql}" < "$database" > /dev/null
  done
}

copy_primary() {
  tries=0
  until pg_isready -q -h "$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { echo "failed to copy $1: it does not answer" >&2; exit 1; }
    sleep 0.1
  done
  pg_basebackup -h "$1" -U replicator -D "$data" -X stream -R -S "$2" --checkpoint=fast
}

start_server() {
  "$(command -v postgres)" -D "$data" -c config_file=/etc/postgresql/postgresql.conf &
  server=$!
}

runs() {
  [ -n "$server" ] && kill -0 "$server" 2> /dev/null
}

# What PostgreSQL calls a fast shutdown: sessions are ended, standbys get the last of the WAL.
stop() {
  runs || exit 0
  kill -INT "$server"
  while runs; do wait "$server" || true; done
  exit 0
}

if [ ! -e "$made" ]; then
  install -m 600 /etc/postgresql/pgpass "$PGPASSFILE"
  if [ $# -eq 0 ]; then make_primary; else copy_primary "$@"; fi
  touch "$made"
fi
trap stop TERM INT
trap 'runs || start_server' HUP
if starts_at_boot; then start_server; fi
while :; do
  if runs; then
    wait "$server" || true
  else
    echo "PostgreSQL does not run, and nothing here starts it by itself" >&2
    # Until a signal comes.
    sleep 3600 & wait $! || true
  fi
done
