#!/usr/bin/env bash
# Checks the Python library for guests and its examples, and builds the package as it would be published into DIST.
# Usage: test.sh TOOLS DIST. TOOLS is the folder for virtual environments; the tools are installed once.
set -euo pipefail

if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    remedy="Install python3 of version 3.11 or newer, then run this again"
    [ "${CI:-}" != true ] || { echo "error: the Python library cannot be tested. $remedy" >&2; exit 1; }
    printf '\n*** SKIPPED the Python library for guests. %s ***\n\n' "$remedy" >&2
    exit 0
fi
tools=$(realpath -m "$1")
dist=$(realpath -m "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"

# The folder is named after the requirements and renamed into place, so an existing folder is complete.
environment=$tools/python-library-$(cat pyproject.toml requirements-dev.txt | cksum | cut -d ' ' -f 1)
if [ ! -d "$environment" ]; then
    echo "installing the tools of the Python library from PyPI into $environment"
    mkdir -p "$tools"
    work=$(mktemp -d "$tools/install.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m venv "$work/venv" || {
        echo "error: python3 cannot make a virtual environment. Install venv (Debian and Ubuntu: python3-venv), then run this again" >&2
        exit 1
    }
    requirement=$(sed -n 's/^dependencies = \["\(.*\)"\]$/\1/p' pyproject.toml)
    "$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement requirements-dev.txt "$requirement"
    mv -T "$work/venv" "$environment" 2>/dev/null || [ -d "$environment" ]
fi
# Scripts contain the path of the environment, so run the modules.
python=$environment/bin/python
export PYTHONPATH=$PWD/src PYTHONDONTWRITEBYTECODE=1 MYPY_CACHE_DIR=$tools/mypy RUFF_CACHE_DIR=$tools/ruff

"$python" -m ruff check --quiet . ../../guest-examples/*-{python,sqlalchemy,peewee,django} ../../host/template/python
"$python" -m ruff format --quiet --check . ../../guest-examples/*-{python,sqlalchemy,peewee,django} ../../host/template/python
MYPYPATH=src:tests "$python" -m mypy src tests
MYPYPATH=src:compliance "$python" -m mypy --config-file pyproject.toml compliance
for example in ../../guest-examples/*-{python,sqlalchemy,peewee,django} ../../host/template/python/project/{notes,greeting,tests}; do
    MYPYPATH=src "$python" -m mypy --config-file pyproject.toml "$example"
done
"$python" -m pytest --quiet --tb=short -p no:cacheprovider tests

rm -rf "$dist"
mkdir -p "$dist"
"$python" -m build --no-isolation --outdir "$dist" . >"$dist/log" 2>&1 || { cat "$dist/log" >&2; exit 1; }
rm "$dist/log"
echo "built $(cd "$dist" && echo *)"
