# The one table: instruction set -> compiler flags. Which bits of CPUID a set needs stands in csrc/core/isa.cpp.
# Baseline units (all outside csrc/isa) and the scalar kernels run on every processor of the architecture: their flags
# also take away what the user's own CXXFLAGS may have added.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(SORGUM_ISAS scalar avx2 avx512)
  set(SORGUM_FLAGS_baseline -mno-avx)
  set(SORGUM_FLAGS_scalar -mno-avx -O2)  # -O3 gains nothing here and takes ten times as long to compile
  set(SORGUM_FLAGS_avx2 -mavx2 -mfma -mf16c -mno-avx512f)
  set(SORGUM_FLAGS_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512)
  # Passes that find nothing in these kernels, and take a sixth of the time to compile them. (The AVX-512 kernels for
  # long rows were 2 to 5 percent slower without, the scalar ones 5.)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND SORGUM_FLAGS_avx2 -fno-tree-pta -fno-tree-pre -fno-gcse -fno-gcse-after-reload)
    # Vectors are structs. GCC copies one that is spilled in pieces of 16 bytes, which the next load of 32 cannot take
    # from the store buffer and waits for: softmax of rows of 32 took 1.7 times as long.
    if(CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
      list(APPEND SORGUM_FLAGS_avx2 -mmove-max=256 -mstore-max=256)
    endif()
  endif()
else()
  set(SORGUM_ISAS scalar)
endif()

# GCC's AVX-512 headers pass undefined vectors on purpose, and GCC 12 warns of them.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(SORGUM_WARNINGS_avx512 -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

add_library(sorgum_baseline INTERFACE)
target_link_libraries(sorgum_baseline INTERFACE sorgum_options)
target_compile_options(sorgum_baseline INTERFACE ${SORGUM_FLAGS_baseline})

# A target whose code is compiled for one instruction set: kernels, and the tests of csrc/simd.
function(sorgum_compile_for target isa)
  string(TOUPPER ${isa} upper)
  target_link_libraries(${target} PRIVATE sorgum_options)
  target_compile_options(${target} PRIVATE ${SORGUM_FLAGS_${isa}} ${SORGUM_WARNINGS_${isa}})
  target_compile_definitions(${target} PRIVATE SORGUM_ISA=${isa} SORGUM_ISA_${upper}=1)
endfunction()

# The same table as text, for show_config().
string(TOUPPER "${CMAKE_BUILD_TYPE}" config)
set(SORGUM_FLAG_ROWS "")
foreach(isa IN LISTS SORGUM_ISAS)
  string(JOIN " " flags ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${config}} ${SORGUM_FP_FLAGS} ${SORGUM_FLAGS_${isa}}
       ${SORGUM_SANITIZE_FLAGS})
  string(REGEX REPLACE "([\\\"])" "\\\\\\1" flags "${flags}")
  string(APPEND SORGUM_FLAG_ROWS "    {\"${isa}\", \"${flags}\"},\n")
endforeach()
