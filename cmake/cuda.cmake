# The compiler and the flags of the module _cuda; included where SORGUM_CUDA is on.
#
# The user's own nvcc (CUDACXX, CMAKE_CUDA_COMPILER) goes first, then the one that NVIDIA's wheels bring to the build
# (pyproject.toml names them), then what CMake finds. find_package(CUDAToolkit) is not called: the wheels lack the link
# that it looks for, and CMake's language CUDA is all that is needed.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "import nvidia.cu13 as m; print(list(m.__path__)[0])"
                  OUTPUT_VARIABLE wheels OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0 AND EXISTS "${wheels}/bin/nvcc")
    set(CMAKE_CUDA_COMPILER "${wheels}/bin/nvcc" CACHE FILEPATH "the CUDA compiler of NVIDIA's wheels" FORCE)
    set(CMAKE_CUDA_FLAGS_INIT "-L${wheels}/lib")  # wheels before 13.2 look for their libraries in lib64
  endif()
endif()

# Machine code for each, and of the last one code that newer devices compile for themselves.
set(SORGUM_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING "architectures of the module _cuda")
set(CMAKE_CUDA_ARCHITECTURES OFF)  # --generate-code says it
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
enable_language(CUDA)

set(SORGUM_BANNED_FLAGS_CUDA
    --use_fast_math -use_fast_math --fmad=true -fmad=true --ftz=true -ftz=true --prec-div=false -prec-div=false
    --prec-sqrt=false -prec-sqrt=false)
separate_arguments(given UNIX_COMMAND "${CMAKE_CUDA_FLAGS} ${CMAKE_CUDA_FLAGS_${config}}")
foreach(flag IN LISTS given)
  if(flag IN_LIST SORGUM_BANNED_FLAGS_CUDA)
    message(FATAL_ERROR "sorgum: CMAKE_CUDA_FLAGS must not contain ${flag}, which changes the results of the kernels; "
                        "got \"${CMAKE_CUDA_FLAGS}\" (CUDAFLAGS of the environment end up there)")
  endif()
endforeach()

# N2: fma only where it is written, subnormals kept, divisions and roots rounded correctly.
set(SORGUM_CUDA_FLAGS --fmad=false --ftz=false --prec-div=true --prec-sqrt=true)
list(GET SORGUM_CUDA_ARCHITECTURES -1 newest)
set(SORGUM_CUDA_CODE "")
foreach(arch IN LISTS SORGUM_CUDA_ARCHITECTURES)
  list(APPEND SORGUM_CUDA_CODE "SHELL:--generate-code arch=compute_${arch},code=sm_${arch}")
endforeach()
list(APPEND SORGUM_CUDA_CODE "SHELL:--generate-code arch=compute_${newest},code=compute_${newest}")
# The host's half of a .cu keeps the contract too.
foreach(flag IN LISTS SORGUM_FP_FLAGS)
  list(APPEND SORGUM_CUDA_FLAGS -Xcompiler=${flag})
endforeach()
if(SORGUM_WERROR)
  list(APPEND SORGUM_CUDA_FLAGS --Werror=all-warnings)
endif()

# The same as text, for show_config().
string(JOIN " " SORGUM_CUDA_FLAGS_TEXT ${SORGUM_CUDA_FLAGS})
list(TRANSFORM SORGUM_CUDA_ARCHITECTURES PREPEND sm_ OUTPUT_VARIABLE names)
string(JOIN ", " SORGUM_CUDA_ARCHITECTURES_TEXT ${names} compute_${newest})
