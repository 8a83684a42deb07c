#!/bin/sh
# Make the virtual environment of a lock file: environment.sh FOLDER PYTHON [LOCK], requirements.lock without the last
# Takes uv where it is installed and fetches it for this checkout where not. One line says what is wrong.
set -u

venv=$1
python=$2
lock=${3:-requirements.lock}
tools=build/tools
minimum="3.10"

say() { echo "drq_spark: $*" >&2; }
stop() { say "$*"; exit 1; }
quietly() { "$@" >/dev/null 2>&1; }

command -v "$python" >/dev/null || stop "no $python here: install Python $minimum or newer, or name one: make PYTHON=/path/to/python3"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))') ||
    stop "$python is Python ${found:-that does not run}, $minimum or newer is needed; name one: make PYTHON=/path/to/python3"

pip_uv() {
    quietly "$1" -m pip install --disable-pip-version-check --retries 1 --timeout 20 --target "$tools" uv
}

# Each way fails on some machine: pip may be missing, venv may lack ensurepip (Debian splits both off).
# --target is allowed where the system's own packages are "externally managed".
fetch_uv() {
    say "fetching uv, the package installer, into $tools"
    pip_uv "$python" && return
    quietly "$python" -m venv "$tools/venv" && pip_uv "$tools/venv/bin/python" && return
    if ! quietly "$python" -m pip --version && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$python has neither pip nor venv: installing python3-pip with apt-get"
        quietly apt-get update
        quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-pip
        pip_uv "$python" && return
    fi
    quietly "$python" -m pip --version || stop "$python has no pip: install uv or pip (Debian, Ubuntu: apt-get install python3-pip)"
    stop "uv cannot be fetched: the Python package index is out of reach (behind a proxy set HTTPS_PROXY)"
}

uv=$(command -v uv) || uv=$tools/bin/uv
[ -x "$uv" ] || fetch_uv
[ -x "$uv" ] || stop "uv did not arrive in $tools: install uv by hand"

if ! quietly "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    rm -rf "$venv"
    "$uv" venv --quiet --python "$python" "$venv" || stop "the virtual environment $venv could not be made"
fi

install() {
    "$uv" pip sync --python "$venv/bin/python" "$@" "$lock" &&
        "$uv" pip install --python "$venv/bin/python" "$@" --no-deps --editable .
}

# Everything may be in uv's cache already: then no network is needed.
if ! quietly install --offline; then
    say "installing the packages of $lock; the first time they are fetched, which takes minutes where PyTorch and CUDA are among them (6.5 GB on disk)"
    echo hatchling | quietly "$uv" pip compile --no-cache --python "$venv/bin/python" - ||
        stop "the Python package index is out of reach: connect, or behind a proxy set HTTPS_PROXY"
    install || stop "the packages could not be installed; the reason is above"
fi
