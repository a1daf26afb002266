# The compiler flags that every target shares, the floating-point ones first of all (docs/numerics.md, N2), and the
# refusal of flags that break the arithmetic contract, wherever they come from.

if(NOT CMAKE_CXX_COMPILER_ID MATCHES "^(GNU|Clang|AppleClang)$")
  message(FATAL_ERROR "sorgum: the compiler must be GCC or Clang, got ${CMAKE_CXX_COMPILER_ID}")
endif()

set(SORGUM_BANNED_FLAGS
    -Ofast -ffast-math -fassociative-math -freciprocal-math -ffinite-math-only -funsafe-math-optimizations
    -fno-signed-zeros -fapprox-func -ffp-contract=fast -ffp-contract=on -ffp-model=fast -ffp-model=aggressive
    -mrecip -mdaz-ftz -march=native -mcpu=native)
string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
foreach(variable CMAKE_CXX_FLAGS CMAKE_CXX_FLAGS_${config}
                 CMAKE_SHARED_LINKER_FLAGS CMAKE_MODULE_LINKER_FLAGS CMAKE_EXE_LINKER_FLAGS)
  separate_arguments(given UNIX_COMMAND "${${variable}}")
  foreach(flag IN LISTS given)
    if(flag IN_LIST SORGUM_BANNED_FLAGS)
      message(FATAL_ERROR "sorgum: ${variable} must not contain ${flag}, which changes the results of the kernels; "
                          "got \"${${variable}}\" (CXXFLAGS and LDFLAGS of the environment end up there)")
    endif()
  endforeach()
endforeach()

# No value depends on -fno-math-errno: it only lets sqrt be one instruction.
set(SORGUM_FP_FLAGS -ffp-contract=off -fno-fast-math -fno-unsafe-math-optimizations -fno-math-errno)

# Link-time optimisation would move code between instruction sets.
add_library(sorgum_options INTERFACE)
target_compile_options(sorgum_options INTERFACE ${SORGUM_FP_FLAGS} -fno-lto -Wall -Wextra -Wconversion)
if(SORGUM_WERROR)
  target_compile_options(sorgum_options INTERFACE -Werror)
endif()

# -O1, whatever the instruction set: nothing here is timed, and the scalar kernels would take minutes more. vptr is left
# out because it needs the type information of the libraries that are not instrumented.
if(SORGUM_SANITIZE OR SORGUM_FUZZ)
  set(SORGUM_SANITIZE_FLAGS -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
                            -fno-omit-frame-pointer -g1 -O1)
  if(SORGUM_FUZZ)
    list(APPEND SORGUM_SANITIZE_FLAGS -fsanitize=fuzzer-no-link)
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Checks as calls: the same ones, and half the time to compile.
    list(APPEND SORGUM_SANITIZE_FLAGS --param=asan-instrumentation-with-call-threshold=0)
  endif()
  target_compile_options(sorgum_options INTERFACE ${SORGUM_SANITIZE_FLAGS})
  target_compile_definitions(sorgum_options INTERFACE SORGUM_SANITIZE=1)
  target_link_options(sorgum_options INTERFACE ${SORGUM_SANITIZE_FLAGS})
endif()
