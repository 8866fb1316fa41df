#!/bin/sh
# Runs etcd. Where the topology names a version, the image has several. Flags that an operator has left in this file come last, so they
# win over those before them: a member that takes the place of one that was lost begins with --initial-cluster-state=existing.
if [ -r /etc/pgquake/versions ]; then choose-versions.sh; fi
flags=$(cat /var/lib/etcd/flags 2> /dev/null)
# Not quoted: each word is a flag.
exec /usr/bin/etcd "$@" $flags
