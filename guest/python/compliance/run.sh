#!/usr/bin/env bash
# Runs SQLAlchemy's compliance suite against a host that serves the guest `probe`, see README.md.
# Usage: CARYA_URL=http://127.0.0.1:8080/ CARYA_OWNER=URL run.sh TOOLS sqlite|postgresql|mysql [OPTION OF PYTEST...]
# TOOLS is the folder for virtual environments; the packages are installed once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    remedy="Install python3 of version 3.11 or newer, then run this again"
    [ "${CI:-}" != true ] || { echo "error: SQLAlchemy's suite cannot run. $remedy" >&2; exit 1; }
    printf '\n*** SKIPPED the suite of SQLAlchemy. %s ***\n\n' "$remedy" >&2
    exit 0
fi
mkdir -p "$1"
tools=$(realpath "$1")
dialect=$2
shift 2

# The folder is named after the requirements and renamed into place, so an existing folder is complete.
environment=$tools/python-compliance-$(cksum <"$here/requirements.txt" | cut -d ' ' -f 1)
work=$(mktemp -d "$tools/compliance.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ ! -d "$environment" ]; then
    echo "installing the packages of SQLAlchemy's suite from PyPI into $environment"
    python3 -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    mv -T "$work/venv" "$environment" 2>/dev/null || [ -d "$environment" ]
fi

# SQLite attaches a file in the current folder.
cd "$work"
PYTHONPATH=$here:$here/../src PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" -m pytest \
    --rootdir "$here" --config-file "$here/setup.cfg" --dburi "$dialect+remote://" "$@" "$here/test_suite.py"
