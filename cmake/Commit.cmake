# Writes OUT with the commit that SOURCE_DIR stands at, only when it changed, so
# that nothing is rebuilt for nothing. "" outside a git checkout.
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse HEAD OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE_DIR} status --porcelain -uno OUTPUT_VARIABLE changed
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(commit AND changed)
    set(commit "${commit}-modified")
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
"#include \"orchestrator/command.h\"
const char command_commit[] = \"@commit@\";
")
