#!/bin/sh
# Makes a test authority, a server's and two clients' certificates with `stentor init`, in the
# directory given, by default this one. Keys are never committed: .gitignore names them.
#
#   certs/make.sh [DIRECTORY [HOST...]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
directory=${1:-$here/test}
[ $# = 0 ] || shift
stentor=${STENTOR_BINARY:-$here/../build/release/stentor}
[ -x "$stentor" ] || { echo "certs/make.sh: build first: ./stentor.sh build" >&2; exit 1; }
[ $# != 0 ] || set -- localhost 127.0.0.1 ::1
hosts=""
for host; do hosts="$hosts --host $host"; done
# shellcheck disable=SC2086
exec "$stentor" init "$directory" $hosts --client client-1 --client client-2
