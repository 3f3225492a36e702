#!/usr/bin/env bash
# Makes the environment once, then starts Atelier and keeps it running.
#
#   ./webui.sh [flags]         start the server; ./webui.sh --help lists the flags
#   ./webui.sh test [args]     run the tests; arguments go to pytest
#   ./webui.sh lint            format, lint and type checks
#
# Variables: PYTHON (which Python to use), VENV_DIR (where the environment lives), COMMANDLINE_ARGS (more flags),
# TORCH_INDEX_URL (where to get torch from, for example https://download.pytorch.org/whl/cpu).
set -u

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
venv=${VENV_DIR:-$here/venv}
python=$venv/bin/python

say() { printf '%s\n' "$*" >&2; }
fail() { say "webui.sh: $*"; exit 1; }

suitable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14 python; do
        if [ -n "$name" ] && suitable "$name"; then printf '%s' "$name"; return; fi
    done
    fail "no Python 3.11 or newer with venv was found. Install one (Debian: apt install python3 python3-venv) or name it: PYTHON=/path/to/python3.11 ./webui.sh"
}

make_venv() {
    suitable "$python" && return
    local base
    base=$(find_python) || exit 1
    say "Making the environment in $venv (once) ..."
    rm -rf -- "$venv"
    "$base" -m venv "$venv" || fail "the environment could not be made in $venv; is the disk full or the folder read-only?"
}

pip_install() {
    "$python" -m pip install --disable-pip-version-check --quiet "$@"
}

fingerprint() {
    { cat -- "$1"; printf '%s' "${TORCH_INDEX_URL:-}"; "$python" -V; } | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

# install FILE STAMP: install a requirements file unless this very file was installed already
install() {
    local file=$here/$1 stamp=$venv/$2 now
    now=$(fingerprint "$file") || fail "Python in $venv does not run; remove that folder and start again"
    if [ -f "$stamp" ] && [ "$(cat -- "$stamp")" = "$now" ]; then return; fi
    say "Installing the packages of $1; the first time this takes some minutes ..."
    if [ "$1" = requirements.txt ]; then install_torch "$file"; fi
    pip_install -r "$file" || fail "the packages of $1 could not be installed; look at pip's message above, then run the same command again"
    printf '%s' "$now" > "$stamp"
}

# torch goes first, so that nothing else pulls another build of it
install_torch() {
    local pin
    pin=$(grep -E '^torch==' -- "$1") || return 0
    if [ -n "${TORCH_INDEX_URL:-}" ]; then
        pip_install "$pin" --index-url "$TORCH_INDEX_URL" || fail "torch could not be installed from $TORCH_INDEX_URL"
    else
        pip_install "$pin" || fail "torch could not be installed; look at pip's message above"
    fi
}

find_chromium() {
    command -v chromium >/dev/null 2>&1 && return
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        say "Installing Chromium for the browser tests ..."
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null && return
    fi
    fail "the browser tests need Chromium as 'chromium' on the PATH; install it (Debian: apt install chromium)"
}

run_tests() {
    install requirements-dev.txt .requirements-dev-hash
    find_chromium
    cd -- "$here" || exit 1
    export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    if [ $# -gt 0 ]; then exec "$python" -m pytest "$@"; fi
    # Everything, two files at a time; then those with a browser, likewise; then those that look at a job while it runs.
    local status=0
    "$python" -m pytest -q -n 2 --dist loadfile -m "not e2e" || status=$?
    "$python" -m pytest -q -n 2 --dist loadfile -m "e2e and not alone" || status=$?
    "$python" -m pytest -q -m "e2e and alone" || status=$?
    exit "$status"
}

run_lint() {
    install requirements-dev.txt .requirements-dev-hash
    cd -- "$here" || exit 1
    "$python" -m ruff format --check . && "$python" -m ruff check . && "$python" -m pyright --pythonpath "$python"
}

# A crash restarts the server; Ctrl-C, SIGTERM and a refused start (status 2) do not, nor do three crashes at once.
run_server() {
    local status crashes=0 began stopped=
    trap 'stopped=1; [ -n "${server:-}" ] && kill -TERM "$server" 2>/dev/null' INT TERM HUP
    while :; do
        began=$SECONDS
        "$python" "$here/app.py" "$@" &
        server=$!
        wait "$server"; status=$?
        # A signal ends wait before the server ended, or after it did but before its status was read: ask again.
        while kill -0 "$server" 2>/dev/null; do wait "$server"; status=$?; done
        if [ -n "$stopped" ]; then wait "$server"; status=$?; fi
        if [ -n "$stopped" ] || [ "$status" -eq 0 ] || [ "$status" -eq 2 ] || [ "$status" -eq 130 ]; then exit "$status"; fi
        if [ $((SECONDS - began)) -gt 30 ]; then crashes=0; fi
        crashes=$((crashes + 1))
        if [ "$crashes" -ge 3 ]; then say "The server ended with status $status three times in a row; giving up."; exit "$status"; fi
        say "The server ended with status $status; starting it again ..."
        sleep 1
    done
}

make_venv
install requirements.txt .requirements-hash
case "${1:-}" in
    test) shift; run_tests "$@" ;;
    lint) run_lint ;;
    *) run_server "$@" ;;
esac
