# What libgist stands on. Every dependency is a Debian package; CMake finds one that the user has installed
# elsewhere, too. Installed as part of the package gist, for what links its static libraries.
find_package(Boost 1.74 REQUIRED)
find_package(HDF5 1.10 REQUIRED COMPONENTS C)
find_package(dnnl 2.6 CONFIG REQUIRED) # Debian's needs OpenCL headers to be found, which nothing here uses
find_package(hwy 1.0 CONFIG REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(SQLite3 REQUIRED)
find_package(ZLIB 1.2 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json 3.11 CONFIG REQUIRED)
find_package(fmt 9 CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(Minizip REQUIRED IMPORTED_TARGET minizip)
pkg_check_modules(Zstd REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SentencePiece REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(Oniguruma REQUIRED IMPORTED_TARGET oniguruma)
pkg_check_modules(Utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
