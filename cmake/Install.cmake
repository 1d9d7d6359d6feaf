# `cmake --install BUILD --prefix DIR` makes a bundle that runs from anywhere on
# a machine with glibc 2.36 or newer and no packages: what programs need beside
# glibc lies in lib/ and is found by their own rpath. CUDA's libraries are not
# in it: a GPU machine has the toolkit.
set(bundle_programs mspeckv mspeckv-kvstore mspeckv-verify mspeckv-draft mspeckv-bench
    mspeckv-synth mspeckv-eval)

# An old-style rpath also serves the libraries that libraries need.
set_target_properties(${bundle_programs} ${MSPECKV_CUDA_TESTS} PROPERTIES
                      INSTALL_RPATH "$ORIGIN/../lib")
foreach(program ${bundle_programs} ${MSPECKV_CUDA_TESTS})
    target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
endforeach()

install(CODE "set(CMAKE_INSTALL_DO_STRIP TRUE)") # most of a program is for debuggers
install(TARGETS ${bundle_programs} ${MSPECKV_CUDA_TESTS} RUNTIME_DEPENDENCY_SET bundle
        RUNTIME DESTINATION bin)
install(RUNTIME_DEPENDENCY_SET bundle
        PRE_EXCLUDE_REGEXES "^lib(c|m|pthread|dl|rt|resolv|util|nsl|anl)\\.so" "^ld-linux"
        POST_EXCLUDE_REGEXES "^${CMAKE_BINARY_DIR}/"
        LIBRARY DESTINATION lib)
if(TARGET mspeckv_cuda)
    install(TARGETS mspeckv_cuda LIBRARY DESTINATION lib)
endif()
install(DIRECTORY experiments docs DESTINATION share/mspeckv PATTERN "*.1" EXCLUDE)
install(FILES docs/mspeckv.1 DESTINATION share/man/man1)
install(FILES tools/shell/mspeckv.bash DESTINATION share/bash-completion/completions
        RENAME mspeckv)
install(FILES tools/shell/_mspeckv DESTINATION share/zsh/site-functions)
install(FILES README.md ARCHITECTURE.md FORMATS.md CONTRIBUTING.md DESTINATION share/mspeckv)
install(DIRECTORY tools/gpu DESTINATION tools USE_SOURCE_PERMISSIONS OPTIONAL
        PATTERN __pycache__ EXCLUDE)
install(PROGRAMS tools/gpu_check DESTINATION tools OPTIONAL)
