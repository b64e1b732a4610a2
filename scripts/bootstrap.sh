#!/bin/sh
# Prepare .venv with the locked dependencies:  sh scripts/bootstrap.sh local|dev
#
# `local` is what `make run` needs, `dev` adds the tools of `make test` and `make check`. Takes
# milliseconds when nothing has changed. Needs a POSIX shell and a Python >= 3.12 somewhere.
set -eu
umask 022
cd "$(dirname "$0")/.."
kind=${1:-local}
venv=$PWD/.venv
poetry_venv=$PWD/.venv-poetry
poetry_spec='poetry>=2.1,<3'
lock=$PWD/.bootstrap.lock

say() { printf 'frankenjet: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# What was installed, for the comparison next time. The folder counts: a virtualenv cannot be moved.
key=$(cksum pyproject.toml poetry.lock scripts/bootstrap.sh; printf '%s' "$PWD")

is_current() {
    [ -x "$venv/bin/python" ] && [ ! -e "$venv/.unfinished" ] || return 1
    for stamp in "$venv/.installed-dev" "$venv/.installed-$kind"; do
        [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ] && return 0
    done
    return 1
}

[ -n "${PYTHON:-}" ] || ! is_current || exit 0

# --- a Python interpreter -------------------------------------------------------------------------

# Print "<3.minor> <base interpreter>" of a Python that runs, is new enough and can make virtualenvs.
# A shim of a version manager may exist and fail; from inside a virtualenv we want what is beneath it.
probe() {
    "$1" -I -c '
import sys
if sys.version_info < (3, 12): sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(4)
print("%d.%d" % sys.version_info[:2], getattr(sys, "_base_executable", "") or sys.executable)
' 2>/dev/null </dev/null
}

candidates() {
    for name in python3.12 python3.13 python3.14 python3 python; do command -v "$name" || true; done
    for folder in "${PYENV_ROOT:-$HOME/.pyenv}/versions" "${UV_PYTHON_INSTALL_DIR:-$HOME/.local/share/uv/python}" \
        "${XDG_DATA_HOME:-$HOME/.local/share}/uv/python" /opt/homebrew/bin /usr/local/bin /opt/python; do
        for program in "$folder"/*/bin/python3 "$folder"/python3.1[2-9]; do
            if [ -x "$program" ]; then printf '%s\n' "$program"; fi
        done
    done
}

# 3.12 and 3.13 first, as the embedded Redis has wheels for these; then any that is newer.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        found=$(probe "$PYTHON") || fail "PYTHON=$PYTHON is not a Python >= 3.12 that runs and has the modules venv and ensurepip."
        python=${found#* }
        return
    fi
    newer='' crippled=''
    old_ifs=$IFS
    IFS='
'
    for candidate in $(candidates); do
        status=0
        found=$(probe "$candidate") || status=$?
        [ "$status" -ne 4 ] || crippled=$candidate
        [ "$status" -eq 0 ] || continue
        case $found in
            3.12\ * | 3.13\ *) python=${found#* }; IFS=$old_ifs; return ;;
            *) newer=${newer:-${found#* }} ;;
        esac
    done
    IFS=$old_ifs
    python=$newer
    if [ -n "$python" ]; then return; fi
    [ -z "$crippled" ] || fail "$crippled has no module venv or ensurepip: install it (on Debian and Ubuntu: apt install python3-venv), or name another Python: PYTHON=/path/to/python."
    fail "Python 3.12 or newer is needed and none was found: install it (apt install python3 python3-venv, brew install python@3.13, pyenv install 3.13, ...), or name it: PYTHON=/path/to/python."
}

# --- one at a time --------------------------------------------------------------------------------

child=''
cleanup() {
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    [ "$(cat "$lock/pid" 2>/dev/null)" != "$$" ] || rm -rf "$lock"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

take_lock() {
    said=''
    until mkdir "$lock" 2>/dev/null; do
        [ -d "$lock" ] || fail "The folder $PWD cannot be written to."
        owner=$(cat "$lock/pid" 2>/dev/null || true)
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            rm -rf "$lock" # its owner was killed
            continue
        fi
        [ -n "$said" ] || say "waiting for another installation in this folder to finish (process ${owner:-unknown})"
        said=yes
        sleep 1
    done
    echo "$$" >"$lock/pid"
}

# --- the two virtualenvs --------------------------------------------------------------------------

# Run a command in the background with its output in a log, so that a signal ends it at once.
# Its progress is shown as the number of packages done; its last lines, if it fails.
watch() {
    log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null &
    child=$!
    shown=0
    while kill -0 "$child" 2>/dev/null; do
        done_so_far=$(grep -c '^  - Installing' "$log" || true)
        if [ "$done_so_far" -ge $((shown + 25)) ]; then
            total=$(sed -n 's/^Package operations: \([0-9]*\) install.*/ of \1/p' "$log")
            say "  $done_so_far$total packages"
            shown=$done_so_far
        fi
        sleep 0.2
    done
    status=0
    wait "$child" || status=$?
    child=''
    [ "$status" -eq 0 ] || { tail -n 25 "$log" >&2; return "$status"; }
}

make_venv() {
    base=$("$venv/bin/python" -I -c 'import sys; assert sys.version_info >= (3, 12); print(sys.base_prefix)' 2>/dev/null) || base=''
    wanted=$base
    [ -z "${PYTHON:-}" ] || wanted=$("$python" -I -c 'import sys; print(sys.base_prefix)')
    moved=no
    if [ -f "$venv/.location" ] && [ "$(cat "$venv/.location")" != "$PWD" ]; then moved=yes; fi
    if [ -z "$base" ] || [ "$base" != "$wanted" ] || [ $moved = yes ] || [ -e "$venv/.unfinished" ]; then
        say "making .venv with $python"
        rm -rf "$venv"
        "$python" -m venv --without-pip "$venv" || fail "No virtualenv could be made in $venv."
    fi
    printf '%s' "$PWD" >"$venv/.location"
}

make_poetry() {
    wanted="$poetry_spec $PWD"
    [ "$(cat "$poetry_venv/.complete" 2>/dev/null)" = "$wanted" ] && [ -x "$poetry_venv/bin/python" ] && return
    say "installing Poetry into .venv-poetry"
    rm -rf "$poetry_venv"
    "$python" -m venv "$poetry_venv" || fail "No virtualenv could be made in $poetry_venv."
    watch "$poetry_venv/install.log" "$poetry_venv/bin/python" -m pip install --disable-pip-version-check --no-input \
        "$poetry_spec" poetry-plugin-pypi-mirror || fail "Poetry could not be installed; the reason is above."
    printf '%s' "$wanted" >"$poetry_venv/.complete"
}

# Poetry does not know pip's settings, and some networks can only be used with them: the index,
# the certificate authority and the proxy.
follow_pip() {
    settings=$("$poetry_venv/bin/python" - <<'PY'
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI

configuration = Configuration(isolated=False)
configuration.load()
found = {}
for section in ("global", "install", ":env:"):  # the last one wins, as with pip
    prefix = section + "."
    found |= {key.removeprefix(prefix): value for key, value in configuration.items() if key.startswith(prefix)}
print(found.get("index-url") or PyPI.simple_url, found.get("cert", ""), found.get("proxy", ""), sep="\n")
PY
    )
    index=$(printf '%s\n' "$settings" | sed -n 1p)
    authority=$(printf '%s\n' "$settings" | sed -n 2p)
    proxy=$(printf '%s\n' "$settings" | sed -n 3p)
    index=${POETRY_PYPI_MIRROR_URL:-$index}
    export POETRY_PYPI_MIRROR_URL="${index%/}/"
    if [ -n "$authority" ]; then export REQUESTS_CA_BUNDLE="${REQUESTS_CA_BUNDLE:-$authority}"; fi
    if [ -n "$proxy" ]; then export HTTPS_PROXY="${HTTPS_PROXY:-$proxy}" HTTP_PROXY="${HTTP_PROXY:-$proxy}"; fi
}

install() {
    groups=main,local
    [ "$kind" != dev ] || groups=main,local,dev
    say "installing the locked dependencies ($groups); the first time this takes about a minute"
    rm -f "$venv/.installed-local" "$venv/.installed-dev"
    : >"$venv/.unfinished" # stays when we are killed: a half written package is not taken for a whole one
    status=0
    watch "$venv/poetry.log" "$poetry_venv/bin/python" -m poetry install --only "$groups" --no-root --no-interaction --no-ansi || status=$?
    rm -f "$venv/.unfinished"
    [ "$status" -eq 0 ] || fail "The dependencies could not be installed; the reason is above, all of it in .venv/poetry.log."
    printf '%s' "$key" >"$venv/.installed-$kind"
}

# The user's shell may have a virtualenv active or Poetry configured: neither must change where we install.
clean_environment() {
    for name in $(env | sed -n 's/^\(POETRY_[A-Z0-9_]*\)=.*/\1/p'); do
        case $name in
            POETRY_PYPI_MIRROR_URL | POETRY_CACHE_DIR | POETRY_HTTP_BASIC_* | POETRY_CERTIFICATES_*) ;;
            *) unset "$name" ;;
        esac
    done
    unset PYTHONHOME PYTHONPATH CONDA_PREFIX CONDA_DEFAULT_ENV PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV || true
    export PIP_USER=0 VIRTUAL_ENV="$venv" PYTHON_KEYRING_BACKEND=keyring.backends.null.Keyring
    export POETRY_VIRTUALENVS_CREATE=true POETRY_VIRTUALENVS_IN_PROJECT=true POETRY_KEYRING_ENABLED=false
}

take_lock
if [ -z "${PYTHON:-}" ] && is_current; then exit 0; fi # somebody else has done it meanwhile
find_python
clean_environment
make_venv
if is_current; then exit 0; fi
make_poetry
follow_pip
install
