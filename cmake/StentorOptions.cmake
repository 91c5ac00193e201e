# What every target is compiled with. Presets choose the values; nothing here is global except the
# compiler launcher and the language standard, which CMake offers only as variables.
include_guard(GLOBAL)

set(STENTOR_SANITIZE "" CACHE STRING "Sanitizers of every target: address,undefined or thread")
option(STENTOR_TESTS "Build the tests (needs GoogleTest)" ON)
option(STENTOR_FUZZ "Fuzz targets run libFuzzer (clang only), not their corpus" OFF)
option(STENTOR_COVERAGE "Instrument for gcov" OFF)
# `stentor.sh test` runs three presets in one ctest: the prefix tells their tests apart, and the two
# regular expressions over labels say which of a preset's tests it runs.
set(STENTOR_TEST_PREFIX "" CACHE STRING "Put before the name of every test")
set(STENTOR_GATE "." CACHE STRING "Tests with a matching label belong to `stentor.sh test`")
set(STENTOR_GATE_NOT "^(scenario|nightly)$" CACHE STRING "... unless a label matches this")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# base_dir and no hash_dir: all build directories of a checkout share their hits.
# The environment is set per call (ccache 4.7 takes no options on its command line), so that a plain
# `ninja` in a build directory gets the same cache as stentor.sh.
find_program(STENTOR_CCACHE ccache)
mark_as_advanced(STENTOR_CCACHE)
if(STENTOR_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER
        /usr/bin/env "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${STENTOR_CCACHE}")
endif()

# Usage requirements of everything we build; travels through stentor_base to all targets.
add_library(stentor_options INTERFACE)
find_package(Threads REQUIRED)
target_link_libraries(stentor_options INTERFACE Threads::Threads)
# Names in the stack trace of a failed assertion.
target_link_options(stentor_options INTERFACE -rdynamic)
target_compile_options(stentor_options INTERFACE
    -fno-omit-frame-pointer
    # Messages name files as the repository does; with ccache's base_dir the compiler sees "../../".
    "-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=" -fmacro-prefix-map=../../=)
# Bounds checks of the standard library stay on in release: this program reads bytes from strangers.
target_compile_definitions(stentor_options INTERFACE _GLIBCXX_ASSERTIONS)

find_program(STENTOR_LLD ld.lld)
mark_as_advanced(STENTOR_LLD)
if(STENTOR_LLD)
    target_link_options(stentor_options INTERFACE -fuse-ld=lld)
endif()

if(STENTOR_SANITIZE)
    target_compile_options(stentor_options INTERFACE
        -fsanitize=${STENTOR_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(stentor_options INTERFACE -fsanitize=${STENTOR_SANITIZE})
else()
    # FORTIFY needs an optimised build and disturbs the sanitizers' own interceptors.
    target_compile_options(stentor_options INTERFACE
        -fstack-protector-strong $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
        $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
if(STENTOR_FUZZ)
    target_compile_options(stentor_options INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(stentor_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(STENTOR_COVERAGE)
    target_compile_options(stentor_options INTERFACE --coverage)
    target_link_options(stentor_options INTERFACE --coverage)
endif()

# For our own sources only (PRIVATE), never for what includes them.
add_library(stentor_warnings INTERFACE)
target_compile_options(stentor_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Wold-style-cast)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND STENTOR_SANITIZE)
    # gcc 12 reports uninitialised and out-of-bounds uses inside its own headers once the
    # sanitizers' instrumentation hides the checks from its analysis; release keeps both warnings.
    target_compile_options(stentor_warnings INTERFACE -Wno-maybe-uninitialized -Wno-array-bounds)
endif()

if(STENTOR_TESTS)
    enable_testing()
    find_package(GTest REQUIRED)
    include(GoogleTest)
    # Debian's interpreter before any other in PATH: it is the one that python3-paho-mqtt is for.
    find_program(STENTOR_PYTHON python3 HINTS /usr/bin REQUIRED)
    mark_as_advanced(STENTOR_PYTHON)
endif()
# Everything that the gate tests of this preset run: `stentor.sh test` builds no more than this.
add_custom_target(stentor_gate)
