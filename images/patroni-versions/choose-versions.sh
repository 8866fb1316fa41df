#!/bin/sh
# Makes the versions that the topology names, or that an upgrade has put there since, those that run here. Each line of the file:
# `patroni 4.1.5`, `postgresql 18`, or `postgresql 16.11` where there are several minor versions.
set -eu
while read -r program version; do
  case $program in
    patroni) place=/opt/patroni/$version link=/opt/patroni/chosen ;;
    postgresql) place=/usr/lib/postgresql/${version%%.*} link=/opt/postgresql/chosen ;;
    *) echo "failed to choose versions: no program is called '$program'" >&2; exit 1 ;;
  esac
  if [ "$program" = postgresql ] && [ "$version" != "${version%%.*}" ]; then
    minor=/usr/lib/postgresql-minors/$version
    [ -d "$minor" ] || { echo "failed to choose versions: the image has no $program $version" >&2; exit 1; }
    ln -sfn "$minor" "/opt/postgresql/${version%%.*}"
  fi
  [ -d "$place" ] || { echo "failed to choose versions: the image has no $program $version" >&2; exit 1; }
  ln -sfn "$place" "$link"
  if [ "$program" = postgresql ]; then ln -sfn "prepared-${version%%.*}" /var/lib/postgresql/prepared; fi
done < /etc/pgquake/versions
