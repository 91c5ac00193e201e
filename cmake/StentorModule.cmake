# stentor_module, stentor_executable, stentor_test, stentor_script_test: the only calls a folder's
# CMakeLists.txt needs. Sources are listed, never globbed; dependencies are written down only here.
include_guard(GLOBAL)

# stentor_module(<name> HEADERS ... SOURCES ... TESTS ... DEPENDS ... PRIVATE_DEPENDS ...
#                TEST_DEPENDS ... TEST_LABELS ...)
#
# Library stentor_<name> (INTERFACE while it has no sources) and one test program <name>_test.
# DEPENDS are what its headers include, PRIVATE_DEPENDS what only its sources include.
# Paths are relative to the folder; includes are relative to the root of the repository.
function(stentor_module name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
        "HEADERS;SOURCES;TESTS;DEPENDS;PRIVATE_DEPENDS;TEST_DEPENDS;TEST_LABELS")
    stentor_reject_unparsed("stentor_module(${name})" "${arg_UNPARSED_ARGUMENTS}")
    set(target stentor_${name})
    if(arg_SOURCES)
        add_library(${target} STATIC ${arg_SOURCES})
        set(scope PUBLIC)
        target_link_libraries(${target} PRIVATE stentor_warnings ${arg_PRIVATE_DEPENDS})
    else()
        add_library(${target} INTERFACE)
        set(scope INTERFACE)
        target_link_libraries(${target} INTERFACE ${arg_PRIVATE_DEPENDS})
    endif()
    target_link_libraries(${target} ${scope} stentor_options ${arg_DEPENDS})
    target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}")
    if(arg_HEADERS)
        target_sources(${target} ${scope} FILE_SET HEADERS
            BASE_DIRS "${PROJECT_SOURCE_DIR}" FILES ${arg_HEADERS})
    endif()
    if(arg_TESTS)
        stentor_test(${name}_test
            SOURCES ${arg_TESTS}
            DEPENDS ${target} ${arg_TEST_DEPENDS}
            LABELS ${arg_TEST_LABELS})
    endif()
endfunction()

# stentor_executable(<name> SOURCES ... DEPENDS ...): a program we ship, at the top of the build
# directory (build/release/stentor).
function(stentor_executable name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS")
    stentor_reject_unparsed("stentor_executable(${name})" "${arg_UNPARSED_ARGUMENTS}")
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE stentor_warnings stentor_options ${arg_DEPENDS})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
endfunction()

# stentor_test(<name> SOURCES ... [DEPENDS ...] [LABELS ...] [TIMEOUT s] [WHOLE] [SERIAL])
#
# A GoogleTest program; every TEST is a ctest of its own, found when ctest starts (and only again
# when the program has changed). WHOLE makes the program one ctest: for suites whose set-up is dear.
# Labels: none means `unit`; `tsan` adds the test to the thread sanitizer's run, `scenario` moves it
# to the release binary's run, `nightly` takes it out of `stentor.sh test`.
function(stentor_test name)
    if(NOT STENTOR_TESTS)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 arg "WHOLE;SERIAL" "TIMEOUT" "SOURCES;DEPENDS;LABELS")
    stentor_reject_unparsed("stentor_test(${name})" "${arg_UNPARSED_ARGUMENTS}")
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE stentor_warnings stentor_options ${arg_DEPENDS}
        GTest::gmock GTest::gtest GTest::gtest_main)
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
    target_compile_definitions(${name} PRIVATE "STENTOR_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
    # Optimising what runs once takes the compiler longer than it saves: half the time of a test's
    # source under AddressSanitizer.
    target_compile_options(${name} PRIVATE $<$<CONFIG:Debug>:-O0>)
    stentor_test_properties(labels properties
        "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_SERIAL}" ${name})
    if(arg_WHOLE)
        add_test(NAME ${STENTOR_TEST_PREFIX}${name} COMMAND ${name})
        set_tests_properties(${STENTOR_TEST_PREFIX}${name} PROPERTIES
            ${properties} LABELS "${labels}")
    else()
        gtest_discover_tests(${name}
            DISCOVERY_MODE PRE_TEST
            DISCOVERY_TIMEOUT 60
            TEST_PREFIX "${STENTOR_TEST_PREFIX}"
            PROPERTIES ${properties} LABELS "${labels}")
    endif()
endfunction()

# stentor_script_test(<name> COMMAND ... [DEPENDS targets...] [LABELS ...] [TIMEOUT s] [SERIAL])
#
# Any other program as a ctest, started in the build directory. $<TARGET_FILE:...> works in COMMAND.
function(stentor_script_test name)
    if(NOT STENTOR_TESTS)
        return()
    endif()
    cmake_parse_arguments(PARSE_ARGV 1 arg "SERIAL" "TIMEOUT" "COMMAND;DEPENDS;LABELS")
    stentor_reject_unparsed("stentor_script_test(${name})" "${arg_UNPARSED_ARGUMENTS}")
    stentor_test_properties(labels properties
        "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_SERIAL}" ${arg_DEPENDS})
    add_test(NAME ${STENTOR_TEST_PREFIX}${name} COMMAND ${arg_COMMAND})
    set_tests_properties(${STENTOR_TEST_PREFIX}${name} PROPERTIES ${properties} LABELS "${labels}")
endfunction()

# --- below: used by the functions above only ---

function(stentor_reject_unparsed call unparsed)
    if(unparsed)
        message(FATAL_ERROR "${call}: does not understand: ${unparsed}")
    endif()
endfunction()

# Completes the labels of a test, adds `gate` when this preset's part of `stentor.sh test` includes
# it (and makes stentor_gate build `ARGN`), and collects the other properties.
function(stentor_test_properties out_labels out_properties labels timeout serial)
    if(NOT labels)
        set(labels unit)
    endif()
    set(gate FALSE)
    foreach(label IN LISTS labels)
        if(label MATCHES "${STENTOR_GATE}")
            set(gate TRUE)
        endif()
    endforeach()
    foreach(label IN LISTS labels)
        if(STENTOR_GATE_NOT AND label MATCHES "${STENTOR_GATE_NOT}")
            set(gate FALSE)
        endif()
    endforeach()
    if(gate)
        list(APPEND labels gate)
        if(ARGN)
            add_dependencies(stentor_gate ${ARGN})
        endif()
    endif()
    if(NOT timeout)
        set(timeout 120)
    endif()
    set(properties TIMEOUT ${timeout})
    if(serial)
        list(APPEND properties RUN_SERIAL TRUE)
    endif()
    if(STENTOR_SANITIZE MATCHES "address")
        set(checks detect_stack_use_after_return=1 strict_string_checks=1
            check_initialization_order=1)
        list(JOIN checks ":" checks)
        list(APPEND properties ENVIRONMENT "ASAN_OPTIONS=${checks}")
    elseif(STENTOR_SANITIZE MATCHES "thread")
        list(APPEND properties ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
    endif()
    # One label "unit,tsan,gate" instead of three: lists do not survive gtest_discover_tests, and
    # `ctest -L tsan` searches the text anyway.
    list(JOIN labels "," labels)
    set(${out_labels} "${labels}" PARENT_SCOPE)
    set(${out_properties} "${properties}" PARENT_SCOPE)
endfunction()
