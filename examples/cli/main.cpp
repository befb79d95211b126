// The hearth program: Hearth from the command line, on the public C++ header alone.
#include <exception>
#include <iostream>

#include "flags.hpp"

int main(int argc, char** argv) {
    try {
        return cli::parse_and_run(argc, argv);
    } catch (const std::exception& e) {  // only memory can run out here
        std::cerr << "hearth: " << e.what() << '\n';
        return 1;
    }
}
