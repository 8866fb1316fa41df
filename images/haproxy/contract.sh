#!/bin/sh
# What an image of the team's own must have for pgquake to run it. Its program may lie anywhere on the PATH.
program=$(command -v haproxy) || { echo "pgquake-lacks: the program haproxy on its PATH"; exit 1; }
[ "$program" = /usr/sbin/haproxy ] || { mkdir -p /usr/sbin && ln -sf "$program" /usr/sbin/haproxy; }
mkdir -p /usr/share
echo "haproxy $(haproxy -v 2>&1 | sed -n '1s/^[^0-9]*\([0-9.]*[0-9]\).*/\1/p')" > /usr/share/pgquake-versions
