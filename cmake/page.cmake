# Embeds ui/dist into the gateway: one generated .cc that takes the files and their gzip forms in by .incbin.
file(GLOB_RECURSE page_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/ui/dist/*)
add_custom_command(
  OUTPUT ${CMAKE_BINARY_DIR}/page/assets_data.cc
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR}/ui/dist -DTARGET=${CMAKE_BINARY_DIR}/page -P ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
  DEPENDS ${page_files} ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
  COMMENT "Embedding the page" VERBATIM)
target_sources(weir_gateway PRIVATE ${CMAKE_BINARY_DIR}/page/assets_data.cc)
