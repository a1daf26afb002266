# What the object files must look like (tools/check_objects.py), as a test of every build that is optimised and not
# instrumented.
find_package(Python COMPONENTS Interpreter REQUIRED)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT SORGUM_SANITIZE AND SORGUM_MODULE AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  foreach(isa IN LISTS SORGUM_ISAS)
    add_test(NAME objects_${isa} COMMAND_EXPAND_LISTS
             COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/check_objects.py"
                     --isa ${isa} --families ${SORGUM_LAYERS} ${SORGUM_FAMILIES} --objects $<TARGET_OBJECTS:sorgum_${isa}>)
  endforeach()
  set(cuda_objects "")
  if(SORGUM_CUDA)
    set(cuda_objects $<TARGET_OBJECTS:sorgum_cuda_host>)
  endif()
  add_test(NAME objects_baseline COMMAND_EXPAND_LISTS
           COMMAND "${Python_EXECUTABLE}" "${PROJECT_SOURCE_DIR}/tools/check_objects.py"
                   --isa baseline
                   --objects $<TARGET_OBJECTS:sorgum_core> $<FILTER:$<TARGET_OBJECTS:sorgum>,EXCLUDE,generated/isa>
                             $<TARGET_OBJECTS:_core> ${cuda_objects})
endif()
