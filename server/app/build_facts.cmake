# Writes build_facts.cpp: run at build time, so that the commit is the one that was built, and only
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
string(STRIP "${BUILD_TYPE}" type)
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
"// Written by build_facts.cmake.
#include \"server/app/build_facts.hpp\"

namespace stentor::app {
const BuildFacts kBuild{.version = \"${VERSION}\", .commit = \"${commit}\", .type = \"${type}\"};
}  // namespace stentor::app
")
