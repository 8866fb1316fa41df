#!/bin/sh
# What an image of the team's own must have for pgquake to run it as a node, with PostgreSQL of the major version $1. Names all that is
# missing at once, and puts right what can be.
lacks() {
  echo "pgquake-lacks: $1"
  missing=1
}
missing=
bin=/usr/lib/postgresql/$1/bin
for program in initdb pg_basebackup pg_controldata pg_ctl pg_isready pg_rewind postgres psql; do
  [ -x "$bin/$program" ] || lacks "$bin/$program (PostgreSQL $1)"
done
patroni=$(command -v patroni) || lacks "the program patroni on its PATH"
# The interpreter that runs it: it may be one of a virtual environment.
python=$([ -n "$patroni" ] && sed -n '1s/^#! *\([^ ]*\).*/\1/p' "$patroni")
case $python in */env | '') python=$(command -v python3) ;; esac
case $python in
  '' | *python*) "$python" -c 'import patroni' 2> /dev/null || lacks "Patroni's module for $python" ;;
  *) lacks "a patroni that Python runs itself: $patroni is a wrapper for $python" ;;
esac
[ -z "${PYTHONPATH:-}" ] || lacks "an environment without PYTHONPATH, which the entry point sets"
for variable in $(env | sed -n '/^PATRONI_LOG_[^D]/d; s/^\(PATRONI_[A-Z_]*\)=.*/\1/p'); do
  lacks "an environment without $variable, which would win over the configuration"
done
"$python" -c 'import psycopg' 2> /dev/null || "$python" -c 'import psycopg2' 2> /dev/null || lacks "psycopg or psycopg2 for $python"
command -v python3 > /dev/null || lacks "the program python3 on its PATH"
for program in cp install mv; do
  command -v "$program" > /dev/null || lacks "the program $program on its PATH"
done
id -u postgres > /dev/null 2>&1 || lacks "a user called postgres"
[ -z "$missing" ] || exit 1
install -d -o postgres -g "$(id -gn postgres)" /var/lib/postgresql /var/run/postgresql
{
  echo "patroni $(patroni --version | sed 's/.* //')"
  echo "postgresql-$1 $("$bin/postgres" --version | sed 's/^[^0-9]*//; s/ .*//')"
} > /usr/share/pgquake-versions
