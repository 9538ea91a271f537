#!/bin/sh
# After this, a PostgreSQL and a RabbitMQ answer, and build/services.env says where: the addresses
# in QUAYLINE_TEST_DATABASE_URL and QUAYLINE_TEST_BROKER_URL, for the tests and the benchmarks. A
# Docker engine answers, too, where that can be had.
#
# For each of the two, the first of these that works: the address given in that variable; what
# answers on 127.0.0.1; an installed Debian server that is stopped; Docker (deploy/compose.servers.yaml);
# as root on Debian, its packages. Else the missing thing is named, and how to give it.
# Nothing that runs already is changed, except: the tests get a role and a database of their own
# in PostgreSQL, and a virtual host in RabbitMQ. As root on Debian, what single tests need is
# installed: libfaketime (clocks that jump), MariaDB (the database collector), docker.io (containers; an
# installed engine that is stopped is started), mmdebstrap (their images), docker-compose (the whole
# stack), systemd (its units are verified), and in a container an ssh server (Docker over ssh). Of
# Prometheus only the two programs are needed: those of Debian's package are unpacked into
# build/prometheus, and no service comes with them.
set -eu
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
python=${BIN:-$root/.venv/bin}/python
wait_s=${QUAYLINE_SERVICES_WAIT_S:-90}
database_url=${QUAYLINE_TEST_DATABASE_URL:-}
broker_url=${QUAYLINE_TEST_BROKER_URL:-}
postgres_port=5432
vhost=quayline-test
mkdir -p "$root/build"
log=$root/build/services.log
: >"$log"

say() { printf '%s\n' "services: $*"; }
fail() {
    say "$@" >&2
    return 1
}
have() { command -v "$1" >/dev/null 2>&1; }
as_root() { [ "$(id -u)" -eq 0 ]; }
on_debian() { as_root && have apt-get && have dpkg; }

# The last line a probe said; its exit code: 0 lets us in, 3 refuses us, 1 nobody answers.
probe() {
    answer=$("$python" "$here/probe.py" "$@" 2>&1) || return $?
}

# Wait until somebody answers, even if with a refusal; with a fourth argument, until it lets us in.
wait_for() {
    until=$(($(date +%s) + wait_s))
    while :; do
        code=0
        probe "$1" "$2" || code=$?
        if [ "$code" -eq 0 ] || { [ "$code" -ne 1 ] && [ $# -lt 4 ]; }; then return; fi
        if [ "$(date +%s)" -ge "$until" ]; then
            say "$3 was started and does not answer within $wait_s s: $answer" >&2
            return 1
        fi
        sleep 0.5
    done
}

# A project of its own: a stack of this machine's user keeps its servers and their data.
compose() {
    set -- -p quayline-test -f "$here/compose.yaml" -f "$here/compose.servers.yaml" "$@"
    export POSTGRES_PASSWORD=quayline RABBITMQ_PASSWORD=quayline GRAFANA_PASSWORD=unused
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}

docker_answers() {
    have docker && timeout 20 docker info >/dev/null 2>&1 || return 1
    if ! docker compose version >/dev/null 2>&1 && ! have docker-compose; then
        say "a Docker engine answers, but neither 'docker compose' nor 'docker-compose' is installed."
        return 1
    fi
}

start_in_docker() {
    docker_answers || return 1
    say "starting $1 in Docker (deploy/compose.servers.yaml)"
    # No --wait: docker-compose 1.29 of Debian 12 has none; we ask the server itself.
    compose up -d "$1" >>"$log" 2>&1 || {
        say "docker compose could not start $1; see $log" >&2
        return 1
    }
}

install_from_debian() {
    on_debian || return 1
    say "installing $1 from Debian"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1"; } \
        >>"$log" 2>&1 </dev/null || {
        say "apt-get could not install $1; see $log" >&2
        return 1
    }
}

# --- PostgreSQL ---------------------------------------------------------------------------------

postgres_at() { printf 'postgresql://%s@127.0.0.1:%s/%s' "$1" "$postgres_port" "$2"; }

start_debian_postgres() {
    as_root && have pg_lsclusters || return 1
    if [ -z "$(pg_lsclusters -h)" ]; then
        newest=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
        [ -n "$newest" ] || return 1
        pg_createcluster "$newest" main >>"$log" 2>&1 || return 1
    fi
    # Version, cluster, port and status of the first cluster.
    # shellcheck disable=SC2046
    set -- $(pg_lsclusters -h | head -n 1)
    postgres_port=$3
    case $4 in
    online*) ;;
    *)
        say "starting Debian's PostgreSQL $1 ($2)"
        pg_ctlcluster "$1" "$2" start >>"$log" 2>&1 </dev/null || return 1
        ;;
    esac
    wait_for database "$(postgres_at quayline:quayline quayline_test)" PostgreSQL
}

start_docker_postgres() {
    start_in_docker postgres &&
        wait_for database "$(postgres_at quayline:quayline postgres)" PostgreSQL login
}

# The role of the tests may make databases and nothing else.
create_role() {
    sql="CREATE ROLE quayline LOGIN CREATEDB PASSWORD 'quayline'"
    if probe statement "$(postgres_at postgres postgres)" "$sql"; then return; fi
    if as_root && id postgres >/dev/null 2>&1; then
        (cd / && su postgres -c "psql -X -q -p $postgres_port -d postgres -c \"$sql\"") >>"$log" 2>&1
    else
        psql -X -q -h /var/run/postgresql -p "$postgres_port" -d postgres -c "$sql" >>"$log" 2>&1
    fi
}

create_database() {
    admin=$(postgres_at quayline:quayline postgres)
    for locale in C.UTF-8 C; do
        # template0: a cluster made without a locale has templates in SQL_ASCII.
        if probe statement "$admin" "CREATE DATABASE quayline_test TEMPLATE template0 \
            ENCODING 'UTF8' LC_COLLATE '$locale' LC_CTYPE '$locale'"; then return; fi
    done
}

prepare_postgres() {
    database_url=$(postgres_at quayline:quayline quayline_test)
    if probe database "$database_url"; then return; fi
    if ! probe database "$(postgres_at quayline:quayline postgres)"; then
        create_role || {
            fail "PostgreSQL answers on 127.0.0.1:$postgres_port, but the role 'quayline' cannot be used or made." \
                "Run  CREATE ROLE quayline LOGIN CREATEDB PASSWORD 'quayline'  as its superuser (also: make services as root)," \
                "or set QUAYLINE_TEST_DATABASE_URL to a database that the tests may fill."
            return
        }
    fi
    create_database
    probe database "$database_url" || fail "PostgreSQL does not let the tests in: $answer"
}

find_postgres() {
    if [ -n "$database_url" ]; then
        probe database "$database_url" || fail "QUAYLINE_TEST_DATABASE_URL is set, but: $answer"
        return
    fi
    code=0
    probe database "$(postgres_at quayline:quayline quayline_test)" || code=$?
    if [ "$code" -eq 1 ]; then
        start_debian_postgres || start_docker_postgres ||
            { install_from_debian postgresql && start_debian_postgres; } ||
            {
                fail "no PostgreSQL: nothing answers on 127.0.0.1:$postgres_port, none is installed that we may start," \
                    "no Docker engine answers, and only root on Debian can install one." \
                    "Start one, or a Docker engine, or run as root: apt-get install postgresql." \
                    "One elsewhere: QUAYLINE_TEST_DATABASE_URL=postgresql://user:password@host:5432/database"
                return
            }
    fi
    prepare_postgres
}

# --- RabbitMQ -----------------------------------------------------------------------------------

broker_at() { printf 'amqp://%s@127.0.0.1:5672/%s' "$1" "$2"; }

start_debian_rabbitmq() {
    as_root && have rabbitmq-server || return 1
    say "starting Debian's RabbitMQ"
    if [ -d /run/systemd/system ]; then
        systemctl start rabbitmq-server >>"$log" 2>&1 || return 1
    else
        # Its own shell, so that a server started from `make` does not hold make's pipes open.
        (cd / && rabbitmq-server -detached) >>"$log" 2>&1 </dev/null || return 1
    fi
    wait_for broker "$(broker_at guest:guest %2F)" RabbitMQ
}

start_docker_rabbitmq() {
    start_in_docker rabbitmq && wait_for broker "$(broker_at quayline:quayline %2F)" RabbitMQ login
}

# rabbitmqctl of the server that answers: root's on this machine, or the container's.
control() {
    if as_root && have rabbitmqctl; then
        timeout 60 rabbitmqctl -q "$@" >>"$log" 2>&1
    elif docker_answers >/dev/null; then
        compose exec -T rabbitmq rabbitmqctl -q "$@" >>"$log" 2>&1 </dev/null
    else
        return 1
    fi
}

# A virtual host of the tests' own: they may drop and purge there as they like.
prepare_rabbitmq() {
    for login in guest:guest quayline:quayline; do
        broker_url=$(broker_at "$login" "$vhost")
        if probe broker "$broker_url"; then return; fi
        if probe broker "$(broker_at "$login" %2F)"; then
            if { control add_vhost "$vhost"; control set_permissions -p "$vhost" "${login%%:*}" '.*' '.*' '.*'; } &&
                probe broker "$broker_url"; then return; fi
            broker_url=$(broker_at "$login" %2F)
            probe broker "$broker_url" && return
        fi
    done
    fail "RabbitMQ answers on 127.0.0.1:5672, but lets neither guest nor quayline in." \
        "Set QUAYLINE_TEST_BROKER_URL=amqp://user:password@127.0.0.1:5672/virtual-host"
}

find_rabbitmq() {
    if [ -n "$broker_url" ]; then
        probe broker "$broker_url" || fail "QUAYLINE_TEST_BROKER_URL is set, but: $answer"
        return
    fi
    code=0
    probe broker "$(broker_at guest:guest %2F)" || code=$?
    if [ "$code" -eq 1 ]; then
        start_debian_rabbitmq || start_docker_rabbitmq ||
            { install_from_debian rabbitmq-server && start_debian_rabbitmq; } ||
            {
                fail "no RabbitMQ: nothing answers on 127.0.0.1:5672, none is installed that we may start," \
                    "no Docker engine answers, and only root on Debian can install one." \
                    "Start one, or a Docker engine, or run as root: apt-get install rabbitmq-server." \
                    "One elsewhere: QUAYLINE_TEST_BROKER_URL=amqp://user:password@host:5672/virtual-host"
                return
            }
    fi
    prepare_rabbitmq
}

# --- MariaDB ------------------------------------------------------------------------------------

maria_lets_in() {
    mariadb --protocol=tcp --host=127.0.0.1 --user=quayline --password=quayline \
        --execute='SELECT 1' quayline_test >>"$log" 2>&1 </dev/null
}

# The role of the tests may make databases whose names begin with quayline_test.
prepare_maria() {
    as_root && mariadb --user=root >>"$log" 2>&1 <<'SQL'
CREATE DATABASE IF NOT EXISTS quayline_test CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS quayline@'127.0.0.1' IDENTIFIED BY 'quayline';
CREATE USER IF NOT EXISTS quayline@localhost IDENTIFIED BY 'quayline';
GRANT ALL ON `quayline\_test%`.* TO quayline@'127.0.0.1';
GRANT ALL ON `quayline\_test%`.* TO quayline@localhost;
SQL
}

start_debian_maria() {
    as_root && have mariadbd-safe || return 1
    say "starting Debian's MariaDB"
    if [ -d /run/systemd/system ]; then
        systemctl start mariadb >>"$log" 2>&1 || return 1
    else
        mkdir -p /run/mysqld && chown mysql /run/mysqld
        (cd / && exec setsid mariadbd-safe) >>"$log" 2>&1 </dev/null &
    fi
    until=$(($(date +%s) + wait_s))
    until prepare_maria; do
        if [ "$(date +%s)" -ge "$until" ]; then return 1; fi
        sleep 0.5
    done
}

# Without it the tests of the database collector fail, and say so; nothing else needs it.
find_maria() {
    if [ -n "${QUAYLINE_TEST_MARIADB_URL:-}" ]; then return; fi
    if have mariadb && { maria_lets_in || prepare_maria; } && maria_lets_in; then return; fi
    start_debian_maria || { install_from_debian mariadb-server && start_debian_maria; } ||
        say "no MariaDB lets the tests in: those of the database collector will fail." \
            "Run as root: make services, or set QUAYLINE_TEST_MARIADB_URL=mysql://user:password@host/database"
}

# --- Docker ---------------------------------------------------------------------------------------

docker_log=$root/build/dockerd.log

# At DOCKER_HOST, or at the usual socket.
engine_answers() {
    timeout 30 "$python" -c 'import docker; docker.from_env(timeout=20).ping()' >>"$log" 2>&1
}

start_debian_docker() {
    as_root && have dockerd || return 1
    say "starting Debian's Docker engine"
    if [ -d /run/systemd/system ]; then
        systemctl start docker >>"$log" 2>&1 || return 1
    else
        # Its own session, so that it neither ends with this script nor holds make's pipes open.
        (cd / && exec setsid dockerd) >>"$docker_log" 2>&1 </dev/null &
    fi
    until=$(($(date +%s) + wait_s))
    until engine_answers; do
        if [ "$(date +%s)" -ge "$until" ]; then
            say "the Docker engine was started and does not answer within $wait_s s; see $docker_log" >&2
            return 1
        fi
        sleep 0.5
    done
}

# Without it the tests of containers fail, and say so; nothing else needs it.
find_docker() {
    if ! engine_answers; then
        if [ -n "${DOCKER_HOST:-}" ]; then
            say "DOCKER_HOST is set, and nothing answers there: the tests of containers will fail."
            return
        fi
        start_debian_docker || { install_from_debian docker.io && start_debian_docker; } || {
            say "no Docker engine: the tests of containers will fail." \
                "Start one, or run as root: apt-get install docker.io."
            return
        }
    fi
    say "a Docker engine answers"
    have mmdebstrap || install_from_debian mmdebstrap ||
        say "no mmdebstrap: the images of the container tests cannot be made."
    have docker-compose || docker compose version >/dev/null 2>&1 || install_from_debian docker-compose ||
        say "no docker-compose: the test of the whole stack will fail."
    # Only where no init system would keep it listening.
    if have sshd || [ -x /usr/sbin/sshd ]; then return; fi
    if [ ! -d /run/systemd/system ] && install_from_debian openssh-server; then return; fi
    say "no sshd (apt-get install openssh-server): the test of Docker over ssh will fail."
}

# --- Programs of the fault tests ----------------------------------------------------------------

# Without it the tests of clocks that jump fail, and say so; nothing else needs it.
find_faketime() {
    for file in /usr/lib/*/faketime/libfaketime*.so.1 /usr/lib64/faketime/libfaketime*.so.1 \
        /usr/local/lib/faketime/libfaketime*.so.1; do
        if [ -e "$file" ]; then return; fi
    done
    install_from_debian libfaketime || say "no libfaketime: the tests of clocks that jump will fail."
}

# --- Units --------------------------------------------------------------------------------------

# Only its program is used, to verify the units.
find_systemd() {
    have systemd-analyze || install_from_debian systemd ||
        say "no systemd-analyze: the test of the systemd units will fail."
}

# --- Prometheus ---------------------------------------------------------------------------------

unpack_prometheus() {
    have apt-get && have dpkg-deb || return 1
    say "unpacking Debian's Prometheus into build/prometheus"
    rm -rf "$root/build/prometheus.new" && mkdir "$root/build/prometheus.new" || return 1
    (
        cd "$root/build/prometheus.new"
        if as_root; then apt-get update -qq; fi
        apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
    ) >>"$log" 2>&1 </dev/null || return 1
    rm -rf "$root/build/prometheus" && mv "$root/build/prometheus.new" "$root/build/prometheus"
}

# Without it the tests of figures, alerts and the dashboard fail, and say so; nothing else needs it.
find_prometheus() {
    if have prometheus && have promtool; then return; fi
    if [ -x "$root/build/prometheus/usr/bin/promtool" ]; then return; fi
    unpack_prometheus || say "no Prometheus (apt-get install prometheus): the tests of figures will fail."
}

# --- What was found -----------------------------------------------------------------------------

quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }
shown() { printf %s "$1" | sed 's#://\([^:@/]*\):[^@]*@#://\1:***@#'; }

# Both are looked for before giving up, so that all that is missing is said at once.
missing=0
find_postgres && say "$answer at $(shown "$database_url")" || missing=1
find_rabbitmq && say "$answer at $(shown "$broker_url")" || missing=1
[ "$missing" -eq 0 ] || exit 1
find_faketime
find_maria
find_docker
find_systemd
find_prometheus
{
    printf 'export QUAYLINE_TEST_DATABASE_URL=%s\n' "$(quoted "$database_url")"
    printf 'export QUAYLINE_TEST_BROKER_URL=%s\n' "$(quoted "$broker_url")"
} >"$root/build/services.env"
