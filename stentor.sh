#!/bin/sh
# One entry to everything: see `./stentor.sh help`. Works from any directory, needs no stdin.
set -eu
caller=$PWD  # what arguments of programs are relative to
cd "$(dirname "$0")"

# serve needs the first list, all other commands both.
build_packages="ca-certificates git g++ cmake ninja-build ccache lld pkg-config
    libboost1.81-dev libspdlog-dev libfmt-dev libtomlplusplus-dev libcli11-dev libsqlite3-dev
    libssl-dev libargon2-dev libmimalloc-dev liburing-dev libsystemd-dev"
test_packages="libgtest-dev libgmock-dev libbenchmark-dev libpaho-mqttpp-dev libpaho-mqtt-dev
    clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev
    mosquitto mosquitto-clients python3 python3-cryptography python3-jwt python3-paho-mqtt
    python3-jsonschema python3-prometheus-client python3-yaml prometheus
    curl openssl strace faketime haproxy chromium
    dpkg-dev fakeroot lintian man-db systemd zsh fish"
# For `package` beside the first list.
package_packages="python3 dpkg-dev fakeroot file"

say() { printf '== %s\n' "$*" >&2; }
fail() { printf 'stentor.sh: %s\n' "$*" >&2; exit 1; }
jobs() { echo "${STENTOR_JOBS:-$(nproc)}"; }

# Prints those of its arguments that are not installed.
missing_packages() {
    dpkg-query -W -f '${Package} ${db:Status-Abbrev}\n' "$@" 2>/dev/null |
        awk -v wanted="$*" '$2 == "ii" { have[$1] }
            END { n = split(wanted, name)
                  for (i = 1; i <= n; ++i) if (!(name[i] in have)) print name[i] }'
}

install_packages() {
    command -v apt-get >/dev/null || fail "apt-get is missing: install by hand on this system: $*"
    root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo; as root: apt-get install $*"
        root="sudo"
    fi
    say "installing: $*"
    # Debian starts a service as soon as it is installed; mosquitto would take port 1883. A policy
    # that is there already stays in force and untouched.
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        policy=""
    else
        printf '#!/bin/sh\nexit 101\n' | $root sh -c "cat >$policy && chmod 755 $policy"
        trap '$root rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
    fi
    $root env DEBIAN_FRONTEND=noninteractive apt-get update -q
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" </dev/null
    if [ -n "$policy" ]; then
        $root rm -f "$policy"
        trap - EXIT INT TERM
    fi
}

# setup [build|package|all]
setup() {
    # shellcheck disable=SC2086
    case "${1:-all}" in
        build) need=$(missing_packages $build_packages) ;;
        package) need=$(missing_packages $build_packages $package_packages) ;;
        all)
            need=$(missing_packages $build_packages $test_packages)
            # By command: NodeSource's nodejs brings npm along and excludes Debian's.
            command -v node >/dev/null || need="$need nodejs"
            command -v npm >/dev/null || need="$need npm"
            ;;
        *) fail "setup knows: build, package, all" ;;
    esac
    # shellcheck disable=SC2086
    [ -z "$need" ] || install_packages $need
}

# build [preset [arguments of cmake --build...]]; without a preset, what users run
build() {
    [ $# != 0 ] || set -- release --target stentor
    preset="$1"
    shift
    # A machine that has only been told to serve has no GoogleTest.
    tests=""
    if [ ! -e /usr/include/gtest/gtest.h ]; then
        tests=-DSTENTOR_TESTS=OFF
    elif [ "$preset" != fuzz ] &&
        grep -qs '^STENTOR_TESTS:.*=OFF' "build/$preset/CMakeCache.txt"; then
        tests=-DSTENTOR_TESTS=ON
    fi
    # ninja runs cmake again by itself when a listing changes; presets and $tests it does not know.
    if [ -n "$tests" ] || [ ! -e "build/$preset/build.ninja" ] ||
        [ -n "$(find CMakePresets.json -newer "build/$preset/build.ninja")" ]; then
        # shellcheck disable=SC2086
        cmake --preset "$preset" $tests >&2
    fi
    cmake --build "build/$preset" -j "$(jobs)" "$@" >&2
}

# The broker runs where the caller is: files it is told of, and ./stentor-data, are there.
serve() {
    setup build
    build
    program=$PWD/build/release/stentor
    cd "$caller"
    exec "$program" serve "$@"
}

# build/release/package/stentor_VERSION_ARCH.deb, and the same as stentor.deb beside it.
package() {
    setup package
    build release --target stentor_package_files
    output=$PWD/build/release/package
    rm -rf "$output"
    (cd build/release && cpack -G DEB -B "$output" "$@" >&2)
    rm -rf "$output/_CPack_Packages"
    cp "$output"/stentor_*.deb "$output/stentor.deb"
    echo "$output"/stentor_*.deb
}

# test [arguments of ctest...]: everything, or for instance `test -R Session`
run_tests() {
    setup all
    say "building dev (AddressSanitizer, UBSan)" && build dev
    say "building release" && build release --target stentor_gate
    say "building tsan (ThreadSanitizer)" && build tsan --target stentor_gate
    # One ctest over the three build directories, so that its summary counts all that ran: dev
    # brings every test but the scenarios, release the scenarios, tsan what is labelled tsan.
    mkdir -p build/gate
    for preset in dev release tsan; do
        printf 'subdirs("%s")\n' "$PWD/build/$preset"
    done >build/gate/CTestTestfile.cmake
    say "running all tests"
    exec ctest --test-dir build/gate -L gate -j "$(jobs)" --output-on-failure --no-label-summary \
        --no-tests=error "$@"
}

# bench compare [ARGS]: this broker and Debian's others under the same load; --install installs
# those first. Otherwise the micro-benchmarks, one after the other.
bench() {
    setup all
    if [ "${1:-}" = compare ]; then
        shift
        if [ "${1:-}" = --install ]; then
            shift
            missing=$(missing_packages mosquitto nats-server rabbitmq-server)
            # shellcheck disable=SC2086 # a list
            [ -z "$missing" ] || install_packages $missing
        fi
        build
        exec python3 tools/bench/compare.py "$@"
    fi
    build release --target stentor_benches
    for program in build/release/tests/bench/bench_*; do
        say "$program"
        "$program" "$@"
    done
}

check() {
    setup all
    exec tools/dev/check.sh "$@"
}

help() {
    cat <<'END'
usage: ./stentor.sh COMMAND [ARGUMENTS]

  serve [ARGS]     install what the build needs, build, run `stentor serve ARGS`
  test  [ARGS]     install everything, build, run all tests; ARGS go to ctest (-R Session)
  build [PRESET]   build/release/stentor; with a PRESET (release, dev, tsan, fuzz, coverage)
                   all of it into build/PRESET
  bench [ARGS]     build and run the micro-benchmarks; ARGS go to each (--benchmark_filter=publish)
  bench compare    this broker and Debian's others under the same load, as ratios (--rows fan-in,
                   --suite store, --suite tls); --install, as the first: install NATS and RabbitMQ
  check [--all]    format, include rules, headers that stand alone, clang-tidy (of what differs
                   from the main branch; --all: of everything); --fix repairs what it can
  package          a Debian package: build/release/package/stentor_VERSION_ARCH.deb
  setup [build]    only install packages (build: without those of the tests)
  help             this text

STENTOR_JOBS=n limits the compilers and tests that run at once.
END
}

command="${1:-help}"
[ $# = 0 ] || shift
case "$command" in
    build)
        if [ "${1:-release}" = release ]; then setup build; else setup all; fi
        build "$@"
        ;;
    setup | serve | package | bench | check) "$command" "$@" ;;
    test) run_tests "$@" ;;
    help | -h | --help) help ;;
    *) help >&2; exit 2 ;;
esac
