#!/bin/sh
# Runs every test: `make test` calls it with BIN, JOBS and FAULT_JOBS set; arguments go to pytest.
#
# A test that fails beside others is run once more by itself, and named in the last lines: a busy
# machine is no defect, but worth a look. More than MOST_AGAIN of them are not run again, and tests
# of faults never are: what was lost once was lost.
MOST_AGAIN=3

tests() {
    "$BIN"/python -m pytest "$@"
}

tests -n "$JOBS" --ignore=tests/chaos --cache-clear --junitxml=build/junit.xml "$@"
rest=$?
told='Failed beside others, too many to be run again'
failed=$(sed -n 's/^ *"\(.*\)": true,\{0,1\}$/\1/p' .pytest_cache/v/cache/lastfailed 2>/dev/null)
if [ "$rest" = 1 ] && [ "$(printf '%s\n' "$failed" | wc -l)" -le "$MOST_AGAIN" ]; then
    tests --ignore=tests/chaos --last-failed --junitxml=build/junit-again.xml "$@"
    rest=$?
    told="Failed beside others, and were run again alone (exit code $rest)"
fi

tests -n "$FAULT_JOBS" tests/chaos --junitxml=build/junit-chaos.xml "$@"
faults=$?

[ -z "$failed" ] || printf '%s:\n%s\n' "$told" "$failed"
# 5 tells that the arguments select none of them.
case "$rest $faults" in "0 0" | "0 5" | "5 0") ;; *) exit 1 ;; esac
