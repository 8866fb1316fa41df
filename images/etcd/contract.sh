#!/bin/sh
# What an image of the team's own must have for pgquake to run it as a member. Its programs may lie anywhere on the PATH.
missing=
for program in etcd etcdctl; do
  found=$(command -v $program) || { echo "pgquake-lacks: the program $program on its PATH"; missing=1; continue; }
  [ "$found" = /usr/bin/$program ] || ln -sf "$found" /usr/bin/$program
done
for variable in $(env | sed -n 's/^\(ETCD[A-Z_]*\)=.*/\1/p'); do
  echo "pgquake-lacks: an environment without $variable, which would win over the flags"
  missing=1
done
[ -z "$missing" ] || exit 1
id -u etcd > /dev/null 2>&1 || useradd --system --no-create-home etcd 2> /dev/null || adduser -S -D -H etcd \
  || { echo "pgquake-lacks: a user called etcd, and a program that makes one"; exit 1; }
install -d -o etcd -g "$(id -gn etcd)" /var/lib/etcd /backup
mkdir -p /usr/share
echo "etcd-server $(etcd --version | sed -n 's/^etcd Version: //p')" > /usr/share/pgquake-versions
