#!/bin/sh
exec setpriv --reuid=postgres --regid=postgres --init-groups patroni /etc/patroni.yml
