# What `cmake --install` puts where: headers, library, command line, the CMake package and the pkg-config file.
include(CMakePackageConfigHelpers)

get_target_property(stele_library_type stele TYPE)
set(stele_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/stele")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/stele" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")

# One export per component, so that a component's targets exist only where it was asked for.
install(TARGETS stele EXPORT stele-targets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT stele-targets NAMESPACE stele:: DESTINATION "${stele_package_dir}")
foreach(component IN ITEMS eigen mpi cache checkpoint counts filters features text interop remote store)
  if(TARGET stele_${component})
    install(TARGETS stele_${component} EXPORT stele-${component}-targets)
    install(EXPORT stele-${component}-targets NAMESPACE stele:: DESTINATION "${stele_package_dir}")
  endif()
endforeach()
if(TARGET stele_cli)
  install(TARGETS stele_cli)
endif()

if(stele_library_type STREQUAL "STATIC_LIBRARY")
  set(STELE_STATIC ON)
else()
  set(STELE_STATIC OFF)
endif()

# The packages that the users of a static library must find: those of the core, and those of components besides.
set(STELE_CORE_PACKAGES "")
set(STELE_INTEROP_PACKAGES "")
set(STELE_STORE_PACKAGES "")
set(STELE_REMOTE_PACKAGES "")
if(STELE_STATIC)
  set(STELE_CORE_PACKAGES Threads ZLIB xxHash)
  foreach(package IN ITEMS zstd=zstd libdeflate=libdeflate isal=isal BZIP2=BZip2 LIBLZMA=LibLZMA lz4=lz4)
    string(REPLACE "=" ";" package "${package}")
    list(GET package 0 found)
    list(GET package 1 name)
    if(${found}_FOUND)
      list(APPEND STELE_CORE_PACKAGES ${name})
    endif()
  endforeach()
  if(libhdf5_FOUND)
    set(STELE_INTEROP_PACKAGES libhdf5)
  endif()
  set(STELE_STORE_PACKAGES LMDB)
  set(STELE_REMOTE_PACKAGES CURL EXPAT)
endif()
configure_package_config_file(cmake/stele-config.cmake.in "${PROJECT_BINARY_DIR}/stele-config.cmake"
                              INSTALL_DESTINATION "${stele_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/stele-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/stele-config.cmake" "${PROJECT_BINARY_DIR}/stele-config-version.cmake"
        DESTINATION "${stele_package_dir}")
if(STELE_STATIC)
  install(FILES cmake/FindxxHash.cmake cmake/Findzstd.cmake cmake/Findlibdeflate.cmake cmake/Findisal.cmake
                cmake/Findlz4.cmake cmake/FindLMDB.cmake cmake/Findlibhdf5.cmake
          DESTINATION "${stele_package_dir}")
endif()

# The prefix is relative to the file, so that the tree can be moved.
file(RELATIVE_PATH STELE_PC_TO_PREFIX "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
set(stele_pc_requires zlib libxxhash)
if(zstd_FOUND)
  list(APPEND stele_pc_requires libzstd)
endif()
if(libdeflate_FOUND)
  list(APPEND stele_pc_requires libdeflate)
endif()
if(isal_FOUND)
  list(APPEND stele_pc_requires libisal)
endif()
if(LIBLZMA_FOUND)
  list(APPEND stele_pc_requires liblzma)
endif()
if(lz4_FOUND)
  list(APPEND stele_pc_requires liblz4)
endif()
set(STELE_PC_LIBS "")
if(BZIP2_FOUND AND STELE_STATIC)
  set(STELE_PC_LIBS " -lbz2") # has no pkg-config file
endif()
list(JOIN stele_pc_requires " " stele_pc_requires)
if(STELE_STATIC)
  set(STELE_PC_REQUIRES "Requires: ${stele_pc_requires}")
else()
  set(STELE_PC_REQUIRES "") # a shared library brings what it links; pkg-config would insist on their development files
endif()
configure_file(cmake/stele.pc.in "${PROJECT_BINARY_DIR}/stele.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/stele.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
