// The command line of every command, in one table.
#pragma once

namespace cli {

// Parses and runs; returns the program's exit code.
int parse_and_run(int argc, char** argv);

}  // namespace cli
