#!/bin/sh
# Main process of the service: gives the member its number and becomes ZooKeeper.
#
#   entrypoint.sh NUMBER
set -eu
data=/var/lib/zookeeper/pgquake
java=/usr/share/java

if [ ! -e "$data/myid" ]; then
  mkdir -p "$data"
  echo "$1" > "$data/myid"
fi
# A small heap and the quick compiler: what is kept here is a few keys, and a start is waited for. Sessions that ask for it
# may read from a member that is cut off; Patroni's never do. Who asks what it is, is not worth a line each time.
exec java -Xms32m -Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -Dreadonlymode.enabled=true \
  -Dorg.slf4j.simpleLogger.showDateTime=true \
  -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd HH:mm:ss.SSS" \
  -Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server.NIOServerCnxn=warn \
  -cp "$java/zookeeper.jar:$java/zookeeper-jute.jar:$java/slf4j-api.jar:$java/slf4j-simple.jar" \
  org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper/zoo.cfg
