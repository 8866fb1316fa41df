#!/bin/sh
# Puts addresses in the place of names in keepalived's configuration, which are known only once the hosts run, and becomes
# keepalived.
set -eu

address_of() {
  getent ahostsv4 "$1" | awk 'NR == 1 { print $1 }'
}

own=$(address_of "$(hostname)")
network=${own%.*}
interface=$(ip -o -4 address show | awk -v own="$own" 'index($4, own "/") == 1 { print $2 }')

sed -e "s/{interface}/$interface/; s/{own}/$own/; s/{network}/$network/" \
  /etc/keepalived/template.conf > /etc/keepalived/keepalived.conf
for peer in $(sed -n 's/.*{address of \([^}]*\)}.*/\1/p' /etc/keepalived/template.conf); do
  sed -i "s/{address of $peer}/$(address_of "$peer")/" /etc/keepalived/keepalived.conf
done

# A machine that comes back has no address but its own: what an earlier keepalived left behind, because it was killed, is gone.
sed -n "s/^ *\($network\.[0-9]*\/[0-9]*\) .*/\1/p" /etc/keepalived/keepalived.conf | while read -r shared; do
  ip address del "$shared" dev "$interface" 2> /dev/null || true
done

exec /usr/sbin/keepalived --dont-fork --log-console --vrrp
