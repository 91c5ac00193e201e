# Writes version_data.hpp: run at build time, so that the commit is the one that was built, and only
# touches the file when something has changed.
set(commit "unknown")
find_program(git git)
if(git)
    execute_process(COMMAND ${git} describe --always --dirty --exclude=*
        WORKING_DIRECTORY "${SOURCE_DIR}"
        OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE
        ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
        set(commit "${described}")
    endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"#pragma once
// Written by version_data.cmake. Any thread.

#define STENTOR_VERSION \"${VERSION}\"
#define STENTOR_COMMIT \"${commit}\"
#define STENTOR_BUILD_TYPE \"${BUILD_TYPE}\"
")
