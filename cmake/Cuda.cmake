# The CUDA backend: one shared object that programs load at run time from
# ../lib beside their bin/ (kernels/device_load.c). Built where nvcc is found.

# What the backend consists of, for every compiler that builds it. It carries
# its own copies of the parts of common/ and kernels/ that keep no state.
file(GLOB MSPECKV_CUDA_KERNELS CONFIGURE_DEPENDS kernels/*_cuda.cu)
file(GLOB MSPECKV_CUDA_SOURCES CONFIGURE_DEPENDS kernels/device_cuda*.c kernels/*_check.c)
list(APPEND MSPECKV_CUDA_SOURCES common/status.c common/mem.c common/clock.c common/pool.c
     kernels/kv_format.c)

if(MSPECKV_SANITIZE OR MSPECKV_FUZZ)
    return() # a sanitizer's shadow memory lies where the driver maps
endif()
find_program(MSPECKV_NVCC nvcc HINTS /usr/local/cuda/bin)
if(NOT MSPECKV_NVCC)
    message(STATUS "No nvcc: building without the CUDA backend")
    return()
endif()
set(CMAKE_CUDA_COMPILER ${MSPECKV_NVCC})
set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual")
enable_language(CUDA)
find_package(CUDAToolkit 13 REQUIRED)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -lineinfo")

add_library(mspeckv_cuda MODULE ${MSPECKV_CUDA_SOURCES} ${MSPECKV_CUDA_KERNELS})
target_include_directories(mspeckv_cuda PRIVATE ${CMAKE_SOURCE_DIR} ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(mspeckv_cuda PRIVATE CUDA::cublas CUDA::cublasLt Threads::Threads m)
target_compile_options(mspeckv_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wno-unused-parameter>)
if(MSPECKV_WERROR)
    target_compile_options(mspeckv_cuda PRIVATE
        "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Werror;-Werror=all-warnings>")
endif()
set_target_properties(mspeckv_cuda PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib
    CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static
    POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden
    BUILD_RPATH "$ORIGIN;/usr/local/cuda/lib64" INSTALL_RPATH "$ORIGIN;/usr/local/cuda/lib64")
# The static runtime's names must not meet those of another copy in the process.
target_link_options(mspeckv_cuda PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)

# Every tests/cuda/test_X.c is a program bin/cuda_test_X and a test cuda.X, which
# skips where no GPU is. Call it once the layers are there.
function(add_cuda_tests)
    file(GLOB sources CONFIGURE_DEPENDS tests/cuda/test_*.c)
    foreach(src ${sources})
        get_filename_component(base ${src} NAME_WE)
        string(REPLACE "test_" "" short ${base})
        set(target cuda_${base})
        add_program(${target} ${src} kernels common PkgConfig::CMOCKA m)
        target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
        target_compile_definitions(${target} PRIVATE TEST_DATA_DIR="${MSPECKV_DATA_DIR}")
        add_dependencies(${target} mspeckv_cuda)
        add_test(NAME cuda.${short} COMMAND ${target})
        set_tests_properties(cuda.${short} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300
                             LABELS cuda RUN_SERIAL ON)
        list(APPEND MSPECKV_CUDA_TESTS ${target})
    endforeach()
    set(MSPECKV_CUDA_TESTS ${MSPECKV_CUDA_TESTS} PARENT_SCOPE)
endfunction()
