# The words the architecture is written in: add_layer, add_program and tests.
# tools/checks/check_layers.py reads the same lines.

# add_layer(NAME [USES layer-or-header ...] [LIBS target ...])
# A static library of NAME/*.c except main.c. Files named *_avx2.c are compiled
# for AVX2+FMA+F16C and are reached only after a check at run time. Files named
# device_cuda* belong to the CUDA backend, a shared object of its own.
function(add_layer name)
    cmake_parse_arguments(L "" "" "USES;LIBS" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS ${name}/*.c)
    file(GLOB headers CONFIGURE_DEPENDS ${name}/*.h)
    list(FILTER sources EXCLUDE REGEX "/main(_[a-z]+)?\\.c$")
    list(FILTER sources EXCLUDE REGEX "/device_cuda[a-z_]*\\.c$")
    list(FILTER headers EXCLUDE REGEX "/device_cuda_state\\.h$") # needs the toolkit's headers
    if(NOT sources)
        add_library(${name} INTERFACE) # a layer of headers only
        return()
    endif()
    add_library(${name} STATIC ${sources})
    target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${headers})
    foreach(src ${sources})
        if(src MATCHES "_avx2\\.c$" AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
            set(options -mavx2 -mfma -mf16c)
            if(MSPECKV_SANITIZE MATCHES "undefined")
                # These four checks on every unrolled vector load take clang minutes
                # a file; ASan still sees any access out of bounds.
                list(APPEND options -fno-sanitize=alignment,null,object-size,pointer-overflow)
            endif()
            if(MSPECKV_SANITIZE MATCHES "address")
                # Scope marks around every register of an unrolled loop take gcc minutes.
                list(APPEND options -fno-sanitize-address-use-after-scope)
            endif()
            set_source_files_properties(${src} PROPERTIES COMPILE_OPTIONS "${options}")
        endif()
    endforeach()
    foreach(use ${L_USES})
        if(NOT use MATCHES "/")
            target_link_libraries(${name} PUBLIC ${use})
        endif()
    endforeach()
    target_link_libraries(${name} PUBLIC ${L_LIBS})
endfunction()

# add_program(PROGRAM MAIN.c LAYER ...)
function(add_program program main)
    add_executable(${program} ${main})
    target_link_libraries(${program} PRIVATE ${ARGN})
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# Every tests/FOLDER/test_X.c is one program and one test FOLDER.X. LABELS
# "threaded" (a file with "threaded" in its name) is also run under TSan.
function(add_tests folder)
    if(NOT MSPECKV_TESTS)
        return()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS tests/${folder}/test_*.c)
    foreach(src ${sources})
        get_filename_component(base ${src} NAME_WE)
        string(REPLACE "test_" "" short ${base})
        add_executable(${folder}_${base} ${src})
        target_link_libraries(${folder}_${base} PRIVATE ${ARGN} PkgConfig::CMOCKA m)
        target_include_directories(${folder}_${base} PRIVATE ${CMAKE_SOURCE_DIR})
        target_compile_definitions(${folder}_${base} PRIVATE
            TEST_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TEST_BUILD_DIR="${CMAKE_BINARY_DIR}"
            TEST_DATA_DIR="${MSPECKV_DATA_DIR}"
            TEST_FULL=$<BOOL:${MSPECKV_TESTS_FULL}>)
        add_test(NAME ${folder}.${short} COMMAND ${folder}_${base})
        set_tests_properties(${folder}.${short} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300
                             LABELS ${folder})
    endforeach()
endfunction()
