#!/bin/sh
# After this, the folder named by the first argument is a virtual environment on Python >= 3.11.
# PYTHON=... chooses the interpreter; without it the usual names are tried.
set -eu

venv=${1:?usage: deploy/venv.sh FOLDER}

say() { printf '%s\n' "venv: $*" >&2; }

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is not a Python 3.11 or newer."
    else
        say "Python 3.11 or newer is needed and was not found as python3 or python3.11 to python3.14."
        say "Install it (Debian 12: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11"
    fi
    return 1
}

# Debian keeps ensurepip, which `python -m venv` needs, in a package of its own.
give_ensurepip() {
    if "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        return
    fi
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "$1 has no ensurepip; installing Debian's $package."
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
    else
        say "$1 cannot make virtual environments: ensurepip is missing. Debian: apt-get install $package"
        return 1
    fi
}

python=$(find_python)
if new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
give_ensurepip "$python"
say "making $venv with $python"
# --clear: what is there is half an environment, or one whose Python is gone.
"$python" -m venv --clear "$venv"
