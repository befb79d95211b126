# Install rules and the package files for find_package(hearth) and pkg-config.
