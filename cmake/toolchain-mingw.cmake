# Cross compile for Windows with Debian's mingw-w64; enough to see that the sources are portable, nothing is linked.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
find_program(compiler NAMES x86_64-w64-mingw32-g++-posix x86_64-w64-mingw32-g++ REQUIRED)
string(REPLACE "g++" "gcc" c_compiler ${compiler})
set(CMAKE_C_COMPILER ${c_compiler})
set(CMAKE_CXX_COMPILER ${compiler})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
