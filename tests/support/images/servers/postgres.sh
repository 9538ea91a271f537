# A cluster as POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB say, made at the first start.
set -eu
data=/var/lib/postgresql/data
as() { exec setpriv --reuid=999 --regid=999 --clear-groups "$@"; }
grep -q ^postgres: /etc/passwd 2>/dev/null ||
    echo postgres:x:999:999::/var/lib/postgresql:/bin/sh >>/etc/passwd
mkdir -p "$data" /var/run/postgresql
chown 999:999 "$data" /var/run/postgresql
chmod 700 "$data"
if [ ! -s "$data/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    chown 999 /tmp/password
    chmod 400 /tmp/password
    (as initdb -D "$data" -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password \
        -N -E UTF8 --locale=C.UTF-8)
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    (echo "CREATE DATABASE \"$POSTGRES_DB\"" | as postgres --single -D "$data" -c jit=off postgres)
fi
as postgres -D "$data" -c listen_addresses='*' -c jit=off
