#!/bin/sh
# Makes the version that the topology names, or that an upgrade has put there since, the one that runs here: `etcd 3.6`.
set -eu
read -r program version < /etc/pgquake/versions
[ "$program" = etcd ] && [ -d "/opt/etcd/$version" ] \
  || { echo "failed to choose versions: the image has no $program $version" >&2; exit 1; }
ln -sfn "/opt/etcd/$version" /opt/etcd/chosen
