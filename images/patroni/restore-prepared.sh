#!/bin/sh
# A replica method of Patroni: takes the data directory that the image carries instead of a base backup.
# Usable once, by a node whose cluster still has the WAL since initdb; Patroni falls back to pg_basebackup.
set -eu
for argument in "$@"; do
  case $argument in --datadir=*) data=${argument#--datadir=} ;; esac
done
rmdir "$data" 2> /dev/null || true
mv -T /var/lib/postgresql/prepared.copy "$data"
